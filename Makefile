# make demo and make test need Go and nothing else: what they need beside it is installed first.

# What is built is told by git, or by whoever builds outside a checkout.
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)

# The versions are pinned here and nowhere else. These are run, not required: their dependencies are not ours.
GOLANGCI_LINT = go run github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
GOVULNCHECK = go run golang.org/x/vuln/cmd/govulncheck@v1.9.0

.DEFAULT_GOAL := build
.PHONY: demo build test needs browser screenshots chaos past scenarios outages fuzz vet lint vuln bench compare deploy-check release release-check test-root verify-image

## demo: everything in one process, with a simulated ZIM
demo:
	@scripts/need-postgres
	@[ -e bin/poller ] || echo 'demo: building it, which takes a minute or two the first time'
	@$(MAKE) --no-print-directory build
	bin/poller demo

## build: bin/poller, static; the Dockerfile builds by this line too
build:
	CGO_ENABLED=0 go build -trimpath -ldflags '-s -w -X main.version=$(VERSION)' -o bin/poller ./cmd/poller

## test: all tests, with the race detector, against real servers: Postgres, pgbouncer, NATS; a consumer in Node.js; the page in Chromium
test: needs vet
	@beside=$$(mktemp) && trap 'rm -f "$$beside"' EXIT && { (cd deploy/check && go test -count 1 ./...) >"$$beside" 2>&1 & check=$$!; }; \
	failed=0; echo 'go test ./...'; CGO_ENABLED=1 go test -race -p 3 -parallel 12 -timeout 30m ./... || failed=1; \
	wait $$check || failed=1; cat "$$beside"; exit $$failed
	@$(MAKE) -s browser

## needs: installs what the tests need and is missing; of what cannot be installed all is named
needs:
	@failed=0; for need in postgres pgbouncer node cc chromium; do scripts/need-$$need || failed=1; done; exit $$failed

## browser: the tests of the status page, in a real Chromium without a window
browser:
	@scripts/need-chromium
	@scripts/need-postgres
	cd browser && go test -count 1 -timeout 10m ./...

## screenshots: docs/img/page-*.png, of the real program; takes ten minutes, in which a history gathers
screenshots:
	@scripts/need-chromium
	@scripts/need-postgres
	cd browser && VERSION=$(VERSION) go run ./cmd/screenshots ../docs/img

# How long make chaos makes faults, and the seed that draws them; 0 draws one.
CHAOS_FOR ?= 30m
SEED ?= 0

## chaos: three daemons and everything that can go wrong, at random; a seed repeats the faults: make chaos CHAOS_FOR=5m SEED=42
chaos:
	@scripts/need-postgres
	go test ./internal/chaos -run TestChaos -v -count 1 -timeout 0 -chaos.for $(CHAOS_FOR) -chaos.seed $(SEED)

# How long a recorded day lasts, and for how long subscribers come late.
PAST_FOR ?= 5m

## past: a day is recorded and asked for again; 200 late subscribers among faults; a seed repeats both: make past PAST_FOR=1m SEED=42
past:
	@scripts/need-postgres
	go test ./internal/chaos -run 'TestDay|TestLateSubscribers' -v -count 1 -timeout 0 -past.for $(PAST_FOR) -past.seed $(SEED)

# Where make scenarios writes its plots; empty for nowhere.
SCENARIOS_DOCS ?= $(CURDIR)/docs/img

## scenarios: flapping users, mass faults and logouts, brown-outs, a rate that is halved, against the truth; prints figures, writes plots
scenarios:
	@scripts/need-postgres
	go test ./cmd/poller -run TestScenarios -v -count 1 -timeout 0 -scenarios -scenarios.docs '$(SCENARIOS_DOCS)'

# Where make outages writes its table.
OUTAGES_DOCS ?= $(CURDIR)/docs/outages.md

# It wants prometheus, psql, curl and script from packages, the nats program (go install
# github.com/nats-io/natscli/nats@latest), and root, which fills up a disk of its own.
## outages: each outage done to a real daemon, seen in readiness, on the page, in the metrics and by the alerts of a real Prometheus, and mended by the runbook
outages:
	@scripts/need-postgres
	go test ./cmd/poller -run 'TestOutages$$' -v -count 1 -timeout 0 -outages -outages.docs '$(OUTAGES_DOCS)'

# How long each fuzz target runs, and what its name has in it.
FUZZ_FOR ?= 10m
FUZZ ?=

## fuzz: every fuzz target in turn; one alone: make fuzz FUZZ=ReadReply FUZZ_FOR=1m
fuzz:
	scripts/fuzz $(FUZZ_FOR) $(FUZZ)

## vet: what the compiler's own checks find, and gofmt
vet:
	@unformatted=$$(gofmt -l .); if [ -n "$$unformatted" ]; then echo "not formatted by gofmt:" $$unformatted; exit 1; fi
	go vet ./...
	go vet -tags root ./internal/stream

## lint: vet and golangci-lint; the first run builds the linter, which takes minutes
lint: vet
	$(GOLANGCI_LINT) run ./...

## vuln: that the modules are what go.sum says, and what is known against them; it asks vuln.go.dev
vuln:
	go mod verify
	$(GOVULNCHECK) ./...

## bench: all benchmarks
bench:
	@scripts/need-postgres
	go test -run '^$$' -bench . -benchmem -timeout 30m ./...

## compare: the poller beside one that was written in an hour: same users, same faults; prints the figures of docs/comparison.md
compare:
	@scripts/need-postgres
	cd bench/compare && go test -count 1 -v -timeout 30m . | grep -E '\||^(ok|FAIL)'

## deploy-check: deploy, held against the tools that will read it; the first run builds some of them, which takes minutes
deploy-check:
	scripts/deploy-check

# Where make release leaves what it makes.
DIST ?= dist

## release: of the commit that is checked out, for each platform an archive, its SBOM and checksums; the same bytes each time
release:
	scripts/release '$(DIST)'

## release-check: that a second release, in another place and with an empty build cache, has the same bytes; takes minutes
release-check: release
	@again=$$(mktemp -d) && trap 'rm -rf "$$again"' EXIT && \
	GOCACHE="$$again/cache" scripts/release "$$again/dist" && cmp '$(DIST)/SHA256SUMS' "$$again/dist/SHA256SUMS" && \
	echo "release-check: two releases have the same bytes"

## test-root: the tests that mount a disk of their own (as root, on Linux)
test-root:
	@scripts/need-cc
	CGO_ENABLED=1 go test -race -tags root -run TestDiskFull -count 1 -v ./internal/stream

## verify-image: what the image promises, proved without a container engine (as root, on Linux)
verify-image:
	scripts/verify-image
