# syntax=docker/dockerfile:1

# Built with the Go of go.mod, for the platform that is asked for, by the same line as everywhere: make build.
FROM --platform=$BUILDPLATFORM golang:1.26-bookworm AS build
ARG TARGETOS=linux
ARG TARGETARCH=amd64
ARG VERSION=unknown
WORKDIR /src
COPY go.mod go.sum ./
RUN --mount=type=cache,target=/go/pkg/mod go mod download
COPY . .
RUN --mount=type=cache,target=/go/pkg/mod --mount=type=cache,target=/root/.cache/go-build \
    GOOS=$TARGETOS GOARCH=$TARGETARCH make build VERSION=$VERSION
RUN mkdir /data

# The program is alone in its image. CA roots and time zones are inside it; it needs no writable path.
# There is no HEALTHCHECK: that would need a second program in here. Let what runs the container ask /healthz and /readyz.
FROM scratch
ARG VERSION=unknown
ARG COMMIT=unknown
LABEL org.opencontainers.image.title="poller" \
      org.opencontainers.image.description="Polls ZEGOCLOUD ZIM for the online state of users and publishes what changed on NATS JetStream" \
      org.opencontainers.image.source="https://github.com/zim-presence/poller" \
      org.opencontainers.image.documentation="https://github.com/zim-presence/poller/tree/main/docs" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.revision="$COMMIT" \
      org.opencontainers.image.version="$VERSION"
COPY --from=build /src/bin/poller /poller
# For those who let NATS run inside: mount a volume here. A new volume takes this owner.
COPY --from=build --chown=65532:65532 /data /data
# Within the container the loopback address can be reached by nobody.
ENV POLLER_HTTP_LISTEN=:8080 \
    POLLER_DATA_DIR=/data
EXPOSE 8080
USER 65532:65532
ENTRYPOINT ["/poller"]
CMD ["run"]
