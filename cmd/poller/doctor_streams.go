package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/rs/zerolog"

	"github.com/zim-presence/poller/internal/ledger"
	"github.com/zim-presence/poller/internal/relay"
	"github.com/zim-presence/poller/internal/stream"
)

// tryApp tries what belongs to one app.
func (d *doctor) tryApp(ctx context.Context, a appConfig, c *chart) {
	list, streams, polling := c.apart(), c.apart(), c.apart()
	abreast(
		func() { d.tryStreams(ctx, a, streams) },
		func() {
			d.tryWatchlist(ctx, a, list)
			d.tryPolling(ctx, a, polling)
		},
	)
	c.join(list, streams, polling)
}

func streamChecks() []string {
	return []string{"event stream", "bucket", "control stream", "nats rights", "ledger and stream"}
}

// tryStreams looks at the app's streams, at what the user may do, and whether ledger and stream agree.
func (d *doctor) tryStreams(ctx context.Context, a appConfig, c *chart) {
	if d.nats.reached == nil {
		c.allUntried(d.nats.why, streamChecks()...)
		return
	}
	s, err := stream.New(d.nats.reached.Conn, stream.Config{AppID: a.AppID, MaxAge: d.cfg.Stream.MaxAge, Replicas: d.cfg.NATS.Replicas}, zerolog.Nop())
	if err != nil {
		c.fault("event stream", "report it", "%v", err)
		return
	}
	rights := d.tryNATSRights(ctx, s)
	events, bucket, control, agreed := c.apart(), c.apart(), c.apart(), c.apart()
	abreast(
		func() { d.tryStream(ctx, events, "event stream", rights, s.LookEvents) },
		func() { d.tryStream(ctx, bucket, "bucket", rights, s.LookBucket) },
		func() { d.tryStream(ctx, control, "control stream", rights, s.LookControl) },
		func() { d.tryAgreement(ctx, a, s, rights, agreed) },
	)
	c.join(events, bucket, control)
	rights.judge(c)
	c.join(agreed)
}

// natsRights are the subjects on which the user may not publish.
type natsRights struct {
	denied []string
	err    error
}

func (d *doctor) tryNATSRights(ctx context.Context, s *stream.Stream) natsRights {
	ctx, cancel := d.within(ctx)
	defer cancel()
	denied, err := s.MayNot(ctx, d.nats.reached)
	if err != nil {
		err = errOf(ctx, err)
	}
	return natsRights{denied, err}
}

// may tells whether one may ask how a stream stands.
func (r natsRights) may(verb, name string) bool {
	for _, subject := range r.denied {
		if subject == "$JS.API.STREAM."+verb+"."+name {
			return false
		}
	}
	return true
}

func (r natsRights) judge(c *chart) {
	switch {
	case len(r.denied) > 0:
		c.fault("nats rights", "allow the user what Permissions in docs/operations.md lists for poller", "the user may not use %s", strings.Join(r.denied, ", "))
	case r.err != nil:
		c.fault("nats rights", "look at the server's log: a right that is missing shows there", "not all could be found out: %s", inShort(r.err))
	default:
		c.ok("nats rights", "the user may do all that the daemon does; what it tells beside the events was not tried")
	}
}

// tryStream judges one stream as it stands.
func (d *doctor) tryStream(ctx context.Context, c *chart, check string, rights natsRights, look func(context.Context) (stream.Standing, error)) {
	name := map[string]func(uint32) string{
		"event stream": stream.EventStreamName, "bucket": stream.BucketStreamName, "control stream": stream.ControlStreamName,
	}[check](c.app)
	if !rights.may("INFO", name) {
		c.untried(check, "the user may not ask for it")
		return
	}
	ctx, cancel := d.within(ctx)
	defer cancel()
	asked := time.Now()
	found, err := look(ctx)
	if err != nil {
		c.fault(check, mendOf("stream", err), "%s: %s", name, inShort(errOf(ctx, err)))
		return
	}
	judgeStream(c, check, found)
	if ahead := asked.Add(time.Since(asked) / 2).Sub(found.At); check == "event stream" && !found.At.IsZero() && ahead.Abs() > mostAhead+time.Since(asked) {
		c.warn("nats clock", "have both clocks set by NTP", "this machine's is %s the server's, by which events expire", aheadText(ahead))
	}
}

func judgeStream(c *chart, check string, s stream.Standing) {
	for _, difference := range s.Differences {
		c.fault(check, difference.Mend, "%s of %s is %s, not %s: %s", difference.Field, difference.Stream, difference.Have, difference.Want, difference.Breaks)
	}
	switch {
	case s.Leaderless:
		c.fault(check, "start the servers that are down", "%s has no leader: too few of its %d copies are up", s.Name, s.Replicas)
	case len(s.Behind) > 0:
		c.warn(check, "start them, or wait until they have caught up", "%s: not up to date on %s, of %d copies", s.Name, strings.Join(s.Behind, ", "), s.Replicas)
	}
	switch {
	case s.MaxBytes > 0 && float64(s.Bytes) > nearlyFull*float64(s.MaxBytes):
		c.warn(check, "raise max_bytes, or shorten stream.max_age", "%s is nearly full: %s of %s", s.Name, formatBytes(int64(s.Bytes)), formatBytes(int64(s.MaxBytes)))
	case s.Cut != "":
		c.fault(check, fmt.Sprintf("nats kv del presence_%d, and let the poller make it anew", c.app), "%s does not follow the events: %s", s.Name, s.Cut)
	}
	if len(s.Notes) > 0 {
		c.warn(check, "none is needed; nothing is broken by it", "%s", strings.Join(s.Notes, "\n"))
	}
	switch {
	case len(c.findings) > 0:
	case s.Missing:
		c.ok(check, "%s is not there yet: the poller makes it", s.Name)
	default:
		c.ok(check, "%s: %s, %s, %s", s.Name, plural(int64(s.Messages), "message"), formatBytes(int64(s.Bytes)), copies(s.Replicas))
	}
}

func copies(n int) string {
	if n == 1 {
		return "1 copy"
	}
	return fmt.Sprintf("%d copies", n)
}

// tryAgreement holds the end of the stream against the ledger, as the daemon does before it tells anything.
func (d *doctor) tryAgreement(ctx context.Context, a appConfig, s *stream.Stream, rights natsRights, c *chart) {
	const check = "ledger and stream"
	pool := d.database.pool()
	if pool == nil {
		c.untried(check, "%s", d.database.why)
		return
	}
	for _, name := range []string{stream.EventStreamName(a.AppID), stream.BucketStreamName(a.AppID)} {
		if !rights.may("INFO", name) || !rights.may("MSG.GET", name) {
			c.untried(check, "the user may not read %s", name)
			return
		}
	}
	ctx, cancel := d.within(ctx)
	defer cancel()
	book := ledger.New(pool, a.AppID, zerolog.Nop())
	tail, err := s.Tail(ctx)
	if errors.Is(err, stream.ErrMissing) {
		c.ok(check, "there is no event stream yet")
		return
	}
	r := &relay.Relay{App: a.AppID, Ledger: book, Cursors: book, Stream: s, Log: zerolog.Nop()}
	if err == nil {
		err = r.Compare(ctx)
	}
	stands, standErr := book.Standing(ctx)
	switch {
	case ctx.Err() != nil:
		c.untried(check, "%s: too much waits to be told, or a server is slow", inShort(context.Cause(ctx)))
	case err != nil:
		c.fault(check, agreementMend(err), "%s", inShort(err))
	case standErr != nil:
		c.fault(check, "look at the server's log", "%s", inShort(standErr))
	default:
		judgeLag(c, check, max(0, stands.Newest-max(tail.Seq, stands.Told)), stands)
	}
}

// agreementMend is the mend that the error names, or where to read of it.
func agreementMend(err error) string {
	if mend := mendOf("stream", err); mend != mendOfSubject("stream") {
		return mend
	}
	if _, mend, found := strings.Cut(err.Error(), "mend: "); found {
		return mend
	}
	return mendOfSubject("stream")
}

// muchLag is how many events may wait to be told while a daemon is at it.
const muchLag = 10_000

func judgeLag(c *chart, check string, lag int64, s ledger.Standing) {
	switch {
	case lag == 0:
		c.ok(check, "agree at event %d, and all is told", s.Newest)
	case s.Owner != "" && !s.Left && lag < muchLag:
		c.ok(check, "agree; %s of %d under way", plural(lag, "event"), s.Newest)
	default:
		c.warn(check, "start the daemon, or look at its check stream/<app>", "agree; %s of %d wait to be told", plural(lag, "event"), s.Newest)
	}
}
