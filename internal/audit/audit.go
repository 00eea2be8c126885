// Package audit proves that what the poller keeps and tells agrees: stream and
// ledger, ledger and state, bucket and stream, state and truth, arrivals and
// limit. It is a second opinion: it looks at Postgres and at NATS for itself and
// not through the doors that it judges. It writes nothing.
//
// It imports presence, pgx and nats.go.
//
// What it holds against each other:
//
//	transitions ──→ gapless, each user's chain whole, each interval ←─ true changes
//	     │ each row's bytes              │ folded by user
//	     ↓                               ↓
//	PRESENCE_<app>                  user_states ←─ truth
//	                                KV_presence_<app>
//
// It keeps a sum of 8 bytes for each event and one entry for each user, so that
// millions of events fit.
package audit

import (
	"context"
	"fmt"
	"hash/maphash"
	"slices"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/zim-presence/poller/presence"
)

// Audit is what is to be looked at, for one app. The program must have come to
// rest: what the ledger holds has been told.
type Audit struct {
	DB  *pgxpool.Pool
	JS  jetstream.JetStream
	App uint32
	// Truth says how a user stands at ZIM, and whether that has been so for long
	// enough to be known. It is asked about watched users. Nil: nobody's is known.
	Truth func(user string) (status presence.Status, detail presence.Detail, known bool)
	// Changes returns when a user's status truly changed, in any order. Each event
	// that tells a change has to have one between its after and its observed_at.
	// Nil: that is not looked at.
	Changes func(user string) []Change
	// Slack is by how much the clock of the changes may be apart from the program's.
	Slack time.Duration
	// Patience is how long the bucket may take to catch up with the stream; zero
	// means that it must have.
	Patience time.Duration
}

// Change is a true change of a user's status.
type Change struct {
	At time.Time
	To presence.Status
}

// Run looks at everything. The error says that it could not; what was found is
// in the report then, too, but more may be wrong.
func (a Audit) Run(ctx context.Context) (*Report, error) {
	r := &Report{App: a.App, Count: map[Kind]int{}}
	b := &book{seed: maphash.MakeSeed(), chains: chains{}}
	if err := a.readLedger(ctx, b, r); err != nil {
		return r, fmt.Errorf("audit the ledger of app %d: %w", a.App, err)
	}
	if err := a.readState(ctx, b, r); err != nil {
		return r, fmt.Errorf("audit the state of app %d: %w", a.App, err)
	}
	if err := a.readStream(ctx, b, r); err != nil {
		return r, fmt.Errorf("audit the stream of app %d: %w", a.App, err)
	}
	if err := a.readBucket(ctx, b, r); err != nil {
		return r, fmt.Errorf("audit the bucket of app %d: %w", a.App, err)
	}
	return r, nil
}

// happened tells whether what an event tells did happen when it says.
func (a Audit) happened(e *presence.Event) bool {
	if a.Changes == nil || e.Kind != presence.KindOnline && e.Kind != presence.KindOffline {
		return true
	}
	return slices.ContainsFunc(a.Changes(e.User.ID), func(c Change) bool {
		return c.To == e.To && c.At.After(e.After.Add(-a.Slack)) && !c.At.After(e.ObservedAt.Add(a.Slack))
	})
}

// book is the ledger, in short.
type book struct {
	seed   maphash.Seed
	sums   []uint64 // of the event with seq i+1
	chains chains
}

// has tells whether the ledger has an event.
func (b *book) has(seq int64) bool { return seq >= 1 && seq <= int64(len(b.sums)) }

// sum is over all that is published of one event.
func (b *book) sum(subject, id, seq, contentType string, data []byte) uint64 {
	var h maphash.Hash
	h.SetSeed(b.seed)
	for _, part := range []string{subject, id, seq, contentType} {
		_, _ = h.WriteString(part) // never fails, by its contract
		_ = h.WriteByte(0)
	}
	_, _ = h.Write(data)
	return h.Sum64()
}

// sumEvent is the sum of an event as it has to be published.
func (b *book) sumEvent(e *presence.Event) (uint64, error) {
	data, err := e.Data()
	if err != nil {
		return 0, err
	}
	return b.sum(e.Subject(), e.ID(), strconv.FormatInt(e.Seq, 10), presence.ContentType, data), nil
}

// chains is the last event of each user.
type chains map[string]link

// link is what the next event of the user has to follow.
type link struct {
	seq      int64
	from, to presence.Status
	observed int64 // microseconds
}

// follow adds an event and says how it does not follow its user's last one: ""
// when it does. again tells that it says once more what the last one said.
func (c chains) follow(e *presence.Event) (broken string, again bool) {
	last := c[e.User.ID]
	kind, ok := presence.KindOf(e.From, e.To)
	switch {
	case e.PrevSeq != last.seq || e.From != last.to:
		broken = fmt.Sprintf("event %d of %q: from %s behind event %d, but event %d led to %s",
			e.Seq, e.User.ID, e.From, e.PrevSeq, last.seq, last.to)
		again = e.From == last.from && e.To == last.to
	case !ok || kind != e.Kind:
		broken = fmt.Sprintf("event %d of %q: %s from %s to %s is no change", e.Seq, e.User.ID, e.Kind, e.From, e.To)
	case e.After.After(e.ObservedAt):
		broken = fmt.Sprintf("event %d of %q: after %s, observed at %s", e.Seq, e.User.ID,
			e.After.Format(time.RFC3339Nano), e.ObservedAt.Format(time.RFC3339Nano))
	}
	c[e.User.ID] = link{seq: e.Seq, from: e.From, to: e.To, observed: e.ObservedAt.UnixMicro()}
	return broken, again
}
