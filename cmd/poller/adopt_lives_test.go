package main

import (
	"context"
	"fmt"
	"iter"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/zim-presence/poller/internal/audit"
	"github.com/zim-presence/poller/internal/diff"
	"github.com/zim-presence/poller/internal/ledger"
	"github.com/zim-presence/poller/internal/poll"
	"github.com/zim-presence/poller/internal/relay"
	"github.com/zim-presence/poller/internal/stream"
	"github.com/zim-presence/poller/internal/watchlist"
	"github.com/zim-presence/poller/presence"
)

// lives is an app whose database is restored again and again, with the rooms in
// this process, so that much happens in little time.
type lives struct {
	*world
	random *rand.Rand
	book   *ledger.Ledger
	stream *stream.Stream
	users  []string
	truth  map[string]presence.Observation
	turns  map[string][]turn // every change of the truth
	misses float64           // share of users who get no answer
}

// turn is a change of a user's status.
type turn struct {
	to presence.Status
	at time.Time
}

func newLives(t *testing.T, seed uint64) *lives {
	t.Helper()
	w := newWorld(t)
	l := &lives{
		world: w, random: rand.New(rand.NewPCG(seed, 3)), book: ledger.New(w.pool, worldApp, zerolog.Nop()),
		truth: map[string]presence.Observation{}, turns: map[string][]turn{},
	}
	var err error
	if l.stream, err = stream.New(w.js.Conn(), stream.Config{AppID: worldApp}, zerolog.Nop()); err != nil {
		t.Fatal(err)
	}
	for i := range 60 {
		id := fmt.Sprintf("user.%d", i)
		l.users = append(l.users, id)
		l.truth[id] = presence.Observation{User: presence.User{ID: id}, Status: presence.Online}
	}
	l.turnOver(1)
	w.watch(l.users[:40]...)
	return l
}

// turnOver changes that share of the users.
func (l *lives) turnOver(share float64) {
	for _, id := range l.users {
		if l.random.Float64() >= share {
			continue
		}
		o := presence.Observation{User: presence.User{ID: id}, Status: presence.Offline, Detail: presence.Detail(1 + l.random.IntN(2))}
		if l.random.IntN(2) == 0 {
			o.Status, o.Detail = presence.Online, presence.NoDetail
		}
		if l.truth[id].Status != o.Status {
			l.turns[id] = append(l.turns[id], turn{o.Status, time.Now()})
		}
		l.truth[id] = o
	}
}

// rewatch takes some off the watchlist and puts others on it.
func (l *lives) rewatch() {
	for _, id := range l.users {
		switch l.random.IntN(12) {
		case 0:
			l.unwatch(id)
		case 1:
			l.exec(`insert into watched_users (app_id, user_id) values ($1, $2) on conflict do nothing`, worldApp, id)
		}
	}
}

// Ask answers with the truth.
func (l *lives) Ask(_ context.Context, users iter.Seq[presence.User], answers chan<- presence.Answer) (poll.Asked, error) {
	a := presence.Answer{AskedAt: presence.Instant(time.Now())}
	for u := range users {
		if l.random.Float64() < l.misses {
			a.Missed = append(a.Missed, presence.Miss{User: u, Reason: presence.MissFailed})
			continue
		}
		o := l.truth[u.ID]
		o.User = u
		a.Observations = append(a.Observations, o)
	}
	a.At = presence.Instant(time.Now().Add(time.Microsecond))
	answers <- a
	return poll.Asked{Requests: 1}, nil
}

// Confirm is never called: nothing is held back.
func (l *lives) Confirm(context.Context, []presence.User, chan<- presence.Answer) (poll.Asked, error) {
	panic("somebody is asked again")
}

// sweep takes the lease, sweeps a few times while users come and go, and tells.
func (l *lives) sweep(n int, misses float64, tell bool) (halted error) {
	l.t.Helper()
	ctx := context.Background()
	l.misses = misses
	lease, err := l.book.TryAcquire(ctx, ledger.Terms{Owner: "lives", TTL: time.Hour, Window: time.Microsecond})
	if err != nil {
		l.t.Fatal(err)
	}
	memory := diff.New(lease.LastSeq())
	err = lease.Load(ctx, func(u ledger.Loaded) error { memory.Add(u.State, u.Seen); return nil })
	if err != nil {
		l.t.Fatal(err)
	}
	recorder := &poll.Recorder{
		Watchlist: &watched{Watchlist: watchlist.New(l.pool), app: worldApp}, Zim: l, Ledger: lease, Memory: memory,
		LastSweep: lease.LastSweep(), Log: zerolog.Nop(),
	}
	for i := range n {
		if i > 0 {
			l.turnOver(0.1)
		}
		if _, err := recorder.Sweep(ctx); err != nil {
			l.t.Fatal(err)
		}
	}
	if tell {
		halted = (&relay.Relay{App: worldApp, Ledger: l.book, Cursors: l.book, Stream: l.stream, Log: zerolog.Nop()}).Drain(ctx)
	}
	if err := lease.Release(ctx, time.Time{}); err != nil {
		l.t.Fatal(err)
	}
	return halted
}

// audit wants everything to agree, and each interval to hold the change.
func (l *lives) audit() {
	l.t.Helper()
	report, err := audit.Audit{DB: l.pool, JS: l.js, App: worldApp, Patience: patience, Truth: func(user string) (presence.Status, presence.Detail, bool) {
		return l.truth[user].Status, l.truth[user].Detail, true
	}}.Run(context.Background())
	if err != nil {
		l.t.Fatal(err)
	}
	for _, f := range report.Findings {
		l.t.Error(f)
	}
	for _, e := range l.events(0) {
		if e.Kind != presence.KindOnline && e.Kind != presence.KindOffline {
			continue
		}
		inside := false
		for _, turn := range l.turns[e.User.ID] {
			inside = inside || turn.to == e.To && turn.at.After(e.After) && !turn.at.After(e.ObservedAt)
		}
		if !inside {
			l.t.Errorf("event %d says that %q went %s in (%s, %s]: %v", e.Seq, e.User.ID, e.To,
				e.After.Format(time.RFC3339Nano), e.ObservedAt.Format(time.RFC3339Nano), l.turns[e.User.ID])
		}
	}
}

// Many lives of one database, drawn at random: restored again and again, to
// older and older states or none at all, each time gone on a while in another
// way, some of it told. What was told stays told, and every interval holds the
// change.
func TestAdoptManyLives(t *testing.T) {
	t.Parallel()
	l := newLives(t, drawSeed(t))
	it := &adopter{id: worldApp, ledger: l.book, stream: l.stream, terms: ledger.Terms{Owner: "adopt", TTL: time.Hour, Window: time.Microsecond}}
	if err := l.sweep(2, 0, true); err != nil {
		t.Fatal(err)
	}
	restore := l.backup()
	adopted := 0
	for range 30 {
		switch l.random.IntN(5) {
		case 0:
			restore = l.backup()
		case 1:
			l.exec(`truncate apps, user_states, transitions, snapshots, relay_cursors`)
		case 2, 3:
			restore()
		}
		if l.random.IntN(2) == 0 {
			l.rewatch()
		}
		for range l.random.IntN(3) {
			l.turnOver(0.2)
			_ = l.sweep(1+l.random.IntN(3), 0.2*float64(l.random.IntN(2)), l.random.IntN(3) > 0) // halted or not
		}
		if l.random.IntN(2) == 0 {
			report, err := it.run(t.Context(), false)
			if err != nil {
				t.Fatal(err)
			}
			if report.Adopted {
				adopted++
			}
		}
	}
	if _, err := it.run(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	if err := l.sweep(1, 0, true); err != nil { // which heals
		t.Fatal(err)
	}
	l.audit()
	t.Logf("%d events, adopted %d times", len(l.events(0)), adopted)
	if adopted == 0 {
		t.Error("nothing was ever adopted")
	}
}
