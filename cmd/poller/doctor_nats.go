package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/rs/zerolog"

	"github.com/zim-presence/poller/internal/local"
	"github.com/zim-presence/poller/internal/stream"
)

const (
	natsKey      = "nats.url"
	leastPayload = 8 << 10 // of a message with its headers, with room
)

// natsFound is what later trials need to know.
type natsFound struct {
	embedded *local.NATSServer
	reached  *stream.Reached // nil: not, or it has no JetStream
	bare     bool            // there are certainly no streams of ours
	why      string
}

func (n *natsFound) close() {
	if n.reached != nil {
		n.reached.Close()
	}
	if n.embedded != nil {
		_ = n.embedded.Close() // what was found was found
	}
}

func natsChecks() []string { return []string{"version", "payload", "jetstream", "sync_interval"} }

// tryNATS looks at the server, not at what is in it.
func (d *doctor) tryNATS(ctx context.Context, c *chart) {
	found := &d.nats
	if d.cfg.NATS.URL == "" && !local.HasNATS(d.cfg.DataDir) {
		found.bare, found.why = true, "there is no NATS yet"
		d.tryNATSAddress(ctx, c)
		c.allUntried("there is no NATS yet: poller run makes it under "+d.cfg.DataDir, natsChecks()...)
		return
	}
	found.why = "NATS cannot be asked"
	r := d.reachNATS(ctx, c)
	if r == nil {
		c.allUntried("no connection", natsChecks()...)
		return
	}
	found.reached = r
	d.tryNATSServer(c, r)
	d.tryJetStream(ctx, c, r)
	if found.embedded != nil {
		c.ok("sync_interval", "always: the embedded server syncs before it acknowledges")
	} else {
		c.untried("sync_interval", "no client can see it: look in the server's configuration for sync_interval: always, and in docs/operations.md for what it means")
	}
}

// tryNATSAddress looks whether the embedded server could listen.
func (d *doctor) tryNATSAddress(ctx context.Context, c *chart) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", d.cfg.NATS.Listen)
	if err != nil {
		c.fault("connection", "set nats.listen (POLLER_NATS_LISTEN) to another address, or end what listens there", "the embedded NATS could not listen: %s", inShort(err))
		return
	}
	_ = l.Close() // nobody came
	c.ok("connection", "the embedded NATS will be made, at %s", d.cfg.NATS.Listen)
}

// reachNATS connects to every server that is named, each by itself: one that is down shows only when the others are too.
func (d *doctor) reachNATS(ctx context.Context, c *chart) *stream.Reached {
	urls := string(d.cfg.NATS.URL)
	if urls == "" {
		server, err := local.OpenNATS(ctx, local.NATS{Dir: d.cfg.DataDir, Listen: d.cfg.NATS.Listen, Log: zerolog.Nop()})
		if err != nil {
			c.fault("connection", "end what listens at nats.listen, or set it to another address", "%s", inShort(err))
			return nil
		}
		d.nats.embedded, urls = server, server.URL()
	}
	servers := strings.Split(urls, ",")
	reached, errs := make([]*stream.Reached, len(servers)), make([]error, len(servers))
	trials := make([]func(), len(servers))
	for i := range servers {
		trials[i] = func() { reached[i], errs[i] = d.reachOne(ctx, servers[i]) }
	}
	abreast(trials...)
	return d.tellServers(c, servers, reached, errs)
}

// tellServers says who let us in, and returns one of those.
func (d *doctor) tellServers(c *chart, servers []string, reached []*stream.Reached, errs []error) (first *stream.Reached) {
	down := c.apart()
	for i, r := range reached {
		switch {
		case r != nil && first == nil:
			first = r
		case r != nil:
			r.Close()
		case len(servers) == 1:
			c.fault("connection", natsRefusalMend(errs[i]), "%s", inShort(errs[i]))
		default:
			down.warn("server", natsRefusalMend(errs[i]), "%s: %s", address(servers[i]), inShort(errs[i]))
		}
	}
	switch {
	case first != nil:
		d.tryNATSConnection(c, first)
	case len(servers) > 1:
		c.fault("connection", "bring one of them up; each is told below", "none of the %d servers lets us in", len(servers))
	}
	c.join(down)
	return first
}

func (d *doctor) reachOne(ctx context.Context, url string) (*stream.Reached, error) {
	ctx, cancel := d.within(ctx)
	defer cancel()
	n := d.cfg.NATS
	r, err := stream.Reach(ctx, stream.Options{
		URL: url, Name: "poller doctor", Creds: n.Creds, CA: n.TLS.CA, Cert: n.TLS.Cert, Key: n.TLS.Key, HandshakeFirst: n.TLS.HandshakeFirst,
	})
	if err != nil {
		return nil, errOf(ctx, err)
	}
	return r, nil
}

// natsRefusalMend says what to do about a connection that was refused.
func natsRefusalMend(err error) string {
	switch {
	case errors.Is(err, nats.ErrAuthorization), errors.Is(err, nats.ErrAuthExpired), errors.Is(err, nats.ErrAuthRevoked):
		return "correct user and password or token in nats.url, or nats.creds; or let the user in at the server"
	case errors.Is(err, nats.ErrSecureConnRequired), errors.Is(err, nats.ErrSecureConnWanted):
		return "use tls:// in nats.url, and nats.tls.*, as the server does"
	case errors.Is(err, nats.ErrMaxConnectionsExceeded), errors.Is(err, nats.ErrMaxAccountConnectionsExceeded):
		return "raise the limit of connections of the server or of the account"
	}
	if mend := reachMend(err, natsKey); mend != "" {
		return mend
	}
	return mendOf("nats", err)
}

func (d *doctor) tryNATSConnection(c *chart, r *stream.Reached) {
	text := r.ConnectedAddr()
	if d.nats.embedded != nil {
		text += ", embedded"
	}
	if state, err := r.TLSConnectionState(); err == nil {
		c.ok("connection", "%s, %s", text, tls.VersionName(state.Version))
		return
	}
	host, _, err := net.SplitHostPort(r.ConnectedAddr())
	if ip := net.ParseIP(host); err == nil && (host == "localhost" || ip != nil && ip.IsLoopback()) {
		c.ok("connection", "%s, on this machine", text)
		return
	}
	c.warn("connection", "use tls:// in nats.url, and nats.tls.ca where the authority is your own", "%s, in the clear, over the network", text)
}

func (d *doctor) tryNATSServer(c *chart, r *stream.Reached) {
	if old, is := errors.AsType[*stream.OldServerError](stream.TryVersion(r.Conn)); is {
		c.fault("version", old.Mend(), "%s", old.Version)
	} else {
		c.ok("version", "%s", r.ConnectedServerVersion())
	}
	if most := r.MaxPayload(); most < leastPayload {
		c.fault("payload", fmt.Sprintf("set max_payload of the server to %d or more", leastPayload), "the server takes messages of %d bytes at the most", most)
	} else {
		c.ok("payload", "messages of up to %s", formatBytes(most))
	}
}

func (d *doctor) tryJetStream(ctx context.Context, c *chart, r *stream.Reached) {
	ctx, cancel := d.within(ctx)
	defer cancel()
	a, err := r.Account(ctx)
	off, none := errors.AsType[*stream.NoJetStreamError](err)
	switch {
	case none:
		d.nats.reached = nil
		d.nats.why = "there is no JetStream"
		r.Close()
		c.fault("jetstream", "switch it on: a jetstream block in the server's configuration, and for the account where it has accounts", "no JetStream: %s", inShort(off))
	case errors.Is(err, stream.ErrDenied):
		c.untried("jetstream", "the user may not ask for the account's limits ($JS.API.INFO); the streams below show that there is JetStream")
	case err != nil:
		d.nats.reached = nil
		d.nats.why = "JetStream does not answer"
		r.Close()
		c.fault("jetstream", "wait ten seconds for a leader; then look at the server's log, and at its disk", "%s", inShort(errOf(ctx, err)))
	default:
		judgeAccount(c, a)
	}
}

// nearlyFull is the share of a limit from which on it is said.
const nearlyFull = 0.8

func judgeAccount(c *chart, a stream.Account) {
	text := formatBytes(int64(a.Store)) + limitText(a.MaxStore, formatBytes(int64(a.MaxStore))) + ", " +
		plural(int64(a.Streams), "stream") + limitText(uint64(a.MaxStreams), fmt.Sprint(a.MaxStreams))
	const mend = "raise the account's limits"
	switch {
	case a.MaxStore > 0 && a.Store >= a.MaxStore:
		c.fault("jetstream", mend, "the account is full: %s", text)
	case a.MaxStore > 0 && float64(a.Store) > nearlyFull*float64(a.MaxStore):
		c.warn("jetstream", mend, "the account is nearly full: %s", text)
	default:
		c.ok("jetstream", "the account has %s", text)
	}
}

func limitText(limit uint64, text string) string {
	if limit == 0 {
		return " (no limit)"
	}
	return " of " + text
}
