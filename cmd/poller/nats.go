package main

import (
	"context"
	"fmt"
	"net"

	"github.com/nats-io/nats.go"
	"github.com/rs/zerolog"

	"github.com/zim-presence/poller/internal/local"
	"github.com/zim-presence/poller/internal/stream"
)

// bus is the NATS that a command works with: the one configured, or the
// embedded one.
type bus struct {
	*nats.Conn
	url      string
	embedded *local.NATSServer // nil with one that is configured
}

// openNATS returns a connection to the configured NATS, or with none configured
// to the embedded one under the data directory: already running there, or
// started here and stopped by Close. The configured one need not answer yet.
func openNATS(ctx context.Context, cfg config, log zerolog.Logger) (*bus, error) {
	b := &bus{url: string(cfg.NATS.URL)}
	if b.url == "" {
		server, err := local.OpenNATS(ctx, local.NATS{Dir: cfg.DataDir, Listen: cfg.NATS.Listen, Log: log})
		if err != nil {
			return nil, fmt.Errorf("embedded nats under %s, at nats.listen (POLLER_NATS_LISTEN): %w", cfg.DataDir, err)
		}
		b.embedded, b.url = server, server.URL()
		warnOfOpenNATS(cfg.NATS.Listen, log)
	}
	conn, err := stream.Connect(stream.Options{
		URL: b.url, Name: "poller", Creds: cfg.NATS.Creds,
		CA: cfg.NATS.TLS.CA, Cert: cfg.NATS.TLS.Cert, Key: cfg.NATS.TLS.Key,
		HandshakeFirst: cfg.NATS.TLS.HandshakeFirst, Log: log,
	})
	if err != nil {
		_ = b.Close() // the first error says what is wrong
		return nil, err
	}
	b.Conn = conn
	return b, nil
}

// warnOfOpenNATS says it when the embedded server, which asks nobody who they are, listens beyond this machine.
func warnOfOpenNATS(listen string, log zerolog.Logger) {
	host, _, err := net.SplitHostPort(listen)
	if ip := net.ParseIP(host); err != nil || host == "localhost" || ip != nil && ip.IsLoopback() {
		return
	}
	log.Warn().Str("listen", listen).Msg("the embedded nats has no passwords, and other machines may reach it: whoever does can publish and delete")
}

// away returns an error while there is no connection, with the reason as far as the server or TLS gave one: the log
// may have told it hours ago.
func (b *bus) away() error {
	if b.IsConnected() {
		return nil
	}
	if why := b.LastError(); why != nil {
		return fmt.Errorf("not connected: %s: %w", b.Status(), why)
	}
	return fmt.Errorf("not connected: %s", b.Status())
}

// Close returns when the connection is closed and an embedded server that was
// started here has stopped.
func (b *bus) Close() error {
	if b.Conn != nil {
		b.Conn.Close()
	}
	if b.embedded != nil {
		return b.embedded.Close()
	}
	return nil
}
