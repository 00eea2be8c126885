package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/rs/zerolog"

	"github.com/zim-presence/poller/internal/budget"
	"github.com/zim-presence/poller/internal/ledger"
	"github.com/zim-presence/poller/internal/relay"
	"github.com/zim-presence/poller/internal/stream"
	"github.com/zim-presence/poller/presence"
)

// tellPatience is how long an erasure tries to tell what it left in the ledger.
const tellPatience = 30 * time.Second

// forgetter is what an erasure needs.
//
//	look ─→ lease ─→ compare ─→ tombstones ─→ tell them ─→ tell which ─→ delete ─→ look
//	                             one transaction                    streams
//
// Each step can be done again: a run that was broken off is made good by the next. Which events were erased is noted in
// the transaction that erases them, and is told before a message is deleted, so that nobody meets a hole that is not
// accounted for.
type forgetter struct {
	id     uint32
	ledger *ledger.Ledger
	stream *stream.Stream
	terms  ledger.Terms
	log    zerolog.Logger
}

func newForgetter(cfg config, a appConfig, db *database, nats *bus, log zerolog.Logger) (*forgetter, error) {
	it := &forgetter{id: a.AppID, ledger: ledger.New(db.Pool, a.AppID, log), log: log}
	// It sends no request; the window is that of the daemon that it takes the lease from.
	it.terms = ledger.Terms{Owner: "poller forget on " + owner(), TTL: cfg.Lease.TTL, Window: budget.New(a.Rate, nil).Window()}
	var err error
	it.stream, err = stream.New(nats.Conn, stream.Config{AppID: a.AppID, MaxAge: cfg.Stream.MaxAge, Replicas: cfg.NATS.Replicas}, log)
	return it, err
}

// look finds out where the user is. It changes nothing.
func (f *forgetter) look(ctx context.Context, user string) (*forgetReport, error) {
	if err := f.ledger.MayForget(ctx); err != nil {
		return nil, err
	}
	traces, err := f.ledger.Traces(ctx, user)
	if err != nil {
		return nil, err
	}
	untold, err := f.ledger.Untold(ctx)
	if err != nil {
		return nil, err
	}
	named, err := f.ledger.Statistics(ctx, user)
	if err != nil {
		return nil, err
	}
	report := newForgetReport(f.id, user, traces, untold)
	report.add("pg_stats", named, nil)
	f.search(ctx, report)
	return report, ctx.Err()
}

// search looks for the user's messages, in streams that were made since the last search too.
func (f *forgetter) search(ctx context.Context, report *forgetReport) {
	places, copies, err := f.stream.Places(ctx, report.user)
	if report.Why = ""; err != nil {
		report.Why = err.Error()
	}
	report.Copies = copies
	for _, p := range places {
		found, err := f.stream.Mentions(ctx, p)
		if err != nil {
			found = nil // what cannot be read is left, and said to be
		}
		if s := report.stream(p.Stream); s != nil {
			s.found = found
			continue
		}
		report.streams = append(report.streams, &streamOf{place: p, found: found})
		report.add(p.Stream, len(found), err)
	}
}

// forget removes what was found. The planner's statistics come last, when the app is polled again: to make them anew takes
// as long as a large table does.
func (f *forgetter) forget(ctx context.Context, report *forgetReport) error {
	err := f.erase(ctx, report)
	if report.ErasedAt != nil {
		f.statistics(ctx, report)
	}
	if err == nil {
		err = report.left()
	}
	return err
}

// erase is what is done under the lease.
func (f *forgetter) erase(ctx context.Context, report *forgetReport) (err error) {
	if _, err := f.stream.Ensure(ctx); err != nil {
		return err
	}
	if _, err := f.stream.EnsureControl(ctx); err != nil {
		return err
	}
	lease, err := f.ledger.Seize(ctx, f.terms)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, lease.Release(context.WithoutCancel(ctx), time.Time{})) }()
	held, free := lease.While(ctx)
	defer free()
	if err := f.fromLedger(held, lease, report); err != nil {
		return err
	}
	if err := f.tell(held, report); err != nil {
		return fmt.Errorf("the database is done, the streams are not; run it again: %w", err)
	}
	f.fromStreams(held, report)
	if err := held.Err(); err != nil {
		return fmt.Errorf("the database is done, the streams are not; run it again: %w", context.Cause(held))
	}
	return nil
}

// fromLedger erases the user from the database, if what was told agrees with the ledger: afterwards that cannot be seen
// any more.
func (f *forgetter) fromLedger(ctx context.Context, lease *ledger.Lease, report *forgetReport) error {
	if err := f.relay().Compare(ctx); err != nil {
		return fmt.Errorf("nothing was removed: %w", err)
	}
	done, err := lease.Forget(ctx, report.traces)
	if err == nil {
		report.erased(done, presence.Instant(time.Now()))
	}
	return err
}

// statistics makes those of the planner anew that name the user, also such as were made since the look. What goes wrong
// with them is reported, and holds up nothing.
func (f *forgetter) statistics(ctx context.Context, report *forgetReport) {
	named, err := f.ledger.Statistics(ctx, report.user)
	left := named
	if err == nil && named > 0 {
		left, err = f.ledger.Analyze(ctx, report.user)
	}
	report.removed("pg_stats", named-left, left, err)
}

func (f *forgetter) relay() *relay.Relay {
	return &relay.Relay{App: f.id, Ledger: f.ledger, Cursors: f.ledger, Stream: f.stream, Log: f.log}
}

// tell tells all that the ledger has, so that nothing of the user can come any more and the stream ends with an event that
// is not the user's; and then which events were erased, those that were found in the streams alone included.
//
// The relay of the holder before may live until it notices. What it adds are rows of this ledger, as they were a moment
// ago; it cannot add any when the stream has come to the ledger's end.
func (f *forgetter) tell(ctx context.Context, report *forgetReport) error {
	if err := f.drain(ctx); err != nil {
		return err
	}
	noted, err := f.ledger.Untold(ctx)
	if err != nil {
		return err
	}
	told, err := f.stream.Erased(ctx)
	if err != nil {
		return err
	}
	found, err := f.found(ctx, report, told.Union(noted))
	if err != nil {
		return err
	}
	fresh := noted.Union(found).Without(told)
	if err := f.stream.TellErased(ctx, fresh, time.Now()); err != nil {
		return err
	}
	report.Told = fresh.Len()
	return f.ledger.ErasedTold(ctx, noted)
}

// found looks for the messages again, and returns the numbers that they tell beside those known: of events whose rows are
// gone for their age. One that the ledger has as somebody's is not the user's, whatever a message says.
func (f *forgetter) found(ctx context.Context, report *forgetReport, known presence.SeqSet) (presence.SeqSet, error) {
	f.search(ctx, report)
	var runs []presence.SeqRange
	for _, s := range report.streams {
		for _, m := range s.found {
			if m.Seq > 0 {
				runs = append(runs, presence.SeqRange{First: m.Seq, Last: m.Seq})
			}
		}
	}
	more := presence.NewSeqSet(runs...).Without(known)
	if len(more) == 0 {
		return nil, nil
	}
	var seqs []int64
	for _, run := range more {
		for seq := run.First; seq <= run.Last; seq++ {
			seqs = append(seqs, seq)
		}
	}
	rows, err := f.ledger.At(ctx, seqs)
	var others []int64
	for i := range rows {
		if rows[i].Kind != presence.KindErased {
			others = append(others, rows[i].Seq)
		}
	}
	return more.Without(presence.SeqSetOf(others...)), err
}

func (f *forgetter) drain(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, tellPatience)
	defer cancel()
	r := f.relay()
	for {
		err := r.Drain(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			return err
		}
	}
}

// fromStreams deletes the messages, goes on where one stream refuses, and looks again in the end.
func (f *forgetter) fromStreams(ctx context.Context, report *forgetReport) {
	for _, s := range report.streams {
		erased, err := f.stream.Erase(ctx, s.place, s.found)
		after, errLook := f.stream.Mentions(ctx, s.place)
		report.removed(s.place.Stream, erased, len(after), errors.Join(err, errLook))
	}
}
