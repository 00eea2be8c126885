package poll

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"go.uber.org/goleak"

	"github.com/zim-presence/poller/internal/diff"
	"github.com/zim-presence/poller/presence"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var errFault = errors.New("a fault")

// list is a watchlist that can break off.
type list struct {
	ids   []string
	fails int // after so many ids; below 0 never
	mid   func()
}

func newList(ids ...string) *list { return &list{ids: ids, fails: -1} }

func (l *list) Users(ctx context.Context, yield func([]byte) error) (Listed, error) {
	for i, id := range l.ids {
		if i == l.fails {
			return Listed{}, errFault
		}
		if l.mid != nil {
			l.mid()
		}
		if err := ctx.Err(); err != nil {
			return Listed{}, err
		}
		if err := yield([]byte(id)); err != nil {
			return Listed{}, err
		}
	}
	return Listed{Invalid: 3, Long: 1}, nil
}

// book is a ledger that refuses what the real one would, and can fail before or
// after the work is done.
type book struct {
	mu        sync.Mutex
	users     map[string]presence.State
	held      map[uint32]presence.Held
	lastSeq   int64
	lastSweep int64
	events    []presence.Transition
	snapshots []presence.Snapshot
	calls     []string
	commits   []presence.Changes
	// fault is asked at each call; applied says whether it does its work before
	// it fails with err.
	fault func(call string) (applied bool, err error)
	// broken is the first thing that was wrong with a call.
	broken error
}

func newBook() *book {
	return &book{users: map[string]presence.State{}, held: map[uint32]presence.Held{}, fault: func(string) (bool, error) { return true, nil }}
}

func (b *book) breach(format string, args ...any) {
	if b.broken == nil {
		b.broken = fmt.Errorf(format, args...)
	}
}

// enter notes a call and asks what becomes of it.
func (b *book) enter(ctx context.Context, call string) (applied bool, err error) {
	applied, err = b.fault(call)
	b.mu.Lock()
	defer b.mu.Unlock()
	if ctx.Err() != nil {
		b.breach("%s is broken off: %w", call, ctx.Err())
	}
	b.calls = append(b.calls, call)
	return applied, err
}

func (b *book) Enroll(ctx context.Context, ids []string) (states []presence.State, err error) {
	applied, err := b.enter(ctx, "enroll")
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(ids) == 0 || len(ids) > enrollAtOnce {
		b.breach("%d users enrolled at once", len(ids))
	}
	for _, id := range ids {
		s, known := b.users[id]
		if !known {
			s.User = presence.User{No: uint32(len(b.users) + 1), ID: id}
		}
		if s.Watched {
			b.breach("%s is watched already", id)
		}
		s.Watched, s.Status, s.Detail = true, presence.Unknown, presence.NoDetail
		if applied {
			b.users[id] = s
		}
		states = append(states, s)
	}
	if err != nil {
		return nil, err
	}
	return states, nil
}

func (b *book) Commit(ctx context.Context, c presence.Changes, sweep int64) error {
	applied, err := b.enter(ctx, "commit")
	b.mu.Lock()
	defer b.mu.Unlock()
	b.number(sweep)
	if c.Empty() {
		b.breach("nothing is committed")
	}
	if applied {
		b.commits = append(b.commits, c)
		b.write(c)
		b.lastSweep = sweep
	}
	return err
}

func (b *book) write(c presence.Changes) {
	newest := map[string]int64{}
	for _, t := range c.Transitions {
		b.lastSeq++
		if t.Seq != b.lastSeq {
			b.breach("event %d follows event %d", t.Seq, b.lastSeq-1)
		}
		if was := b.users[t.User.ID]; t.PrevSeq != was.LastSeq || t.From != was.Status && !toldAgain(t, was) || t.User != was.User {
			b.breach("%+v does not follow %+v", t, was)
		}
		newest[t.User.ID] = t.Seq
		b.events = append(b.events, t)
	}
	for _, s := range c.States {
		if seq, told := newest[s.User.ID]; told && s.LastSeq != seq {
			b.breach("the state %+v is not that of event %d", s, seq)
		}
		delete(newest, s.User.ID)
		b.users[s.User.ID] = s
	}
	if len(newest) > 0 {
		b.breach("%d events without a state", len(newest))
	}
	for _, no := range c.Settled {
		if _, waits := b.held[no]; !waits {
			b.breach("of user %d nothing waits that could be settled", no)
		}
		delete(b.held, no)
	}
	for _, h := range c.Held {
		if was := b.users[h.User.ID]; !was.Watched || was.Status == h.To || was.Status == presence.Unknown || slices.Contains(c.Settled, h.User.No) {
			b.breach("%+v waits, of %+v", h, was)
		}
		b.held[h.User.No] = h
	}
}

// toldAgain tells whether an event says again what was told, to somebody who lost it.
func toldAgain(t presence.Transition, was presence.State) bool {
	return t.Kind == presence.KindBaseline && t.From == presence.Unknown && t.To == was.Status
}

func (b *book) SaveSnapshot(ctx context.Context, s presence.Snapshot) error {
	applied, err := b.enter(ctx, "snapshot")
	b.mu.Lock()
	defer b.mu.Unlock()
	b.number(s.Sweep)
	if len(b.snapshots) > 0 && b.snapshots[len(b.snapshots)-1].Sweep >= s.Sweep {
		b.breach("a second snapshot of sweep %d", s.Sweep)
	}
	if applied {
		b.snapshots = append(b.snapshots, s)
		b.lastSweep = s.Sweep
	}
	return err
}

func (b *book) number(sweep int64) {
	if sweep != b.lastSweep && sweep != b.lastSweep+1 {
		b.breach("sweep %d follows sweep %d", sweep, b.lastSweep)
	}
}

// count returns how often a call was made.
func (b *book) count(call string) (n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, c := range b.calls {
		if c == call {
			n++
		}
	}
	return n
}

// memory returns the state as a new term loads it.
func (b *book) memory() *diff.Memory {
	m := diff.New(b.lastSeq)
	for _, s := range b.users {
		if s.Watched {
			m.Add(s, s.AskedAt)
		}
	}
	for _, h := range b.held {
		m.AddHeld(h)
	}
	return m
}

// asker answers by a function for each batch.
type asker struct {
	batch  int
	answer func(ctx context.Context, batch []presence.User) (presence.Answer, error)
	// confirm answers who is asked again; nil is answer.
	confirm func(ctx context.Context, batch []presence.User) (presence.Answer, error)
	calls   int
	asked   Asked
}

// everybody is an asker who finds everybody in one status.
func everybody(status presence.Status) *asker {
	return &asker{batch: 100, answer: func(_ context.Context, batch []presence.User) (presence.Answer, error) {
		return answer(status, batch...), nil
	}}
}

func answer(status presence.Status, users ...presence.User) presence.Answer {
	now := presence.Instant(time.Now())
	a := presence.Answer{AskedAt: now, At: now}
	for _, u := range users {
		a.Observations = append(a.Observations, observation(u, status))
	}
	return a
}

func observation(u presence.User, status presence.Status) presence.Observation {
	o := presence.Observation{User: u, Status: status}
	if status == presence.Offline {
		o.Detail = presence.Timeout
	}
	return o
}

func (a *asker) Ask(ctx context.Context, users iter.Seq[presence.User], answers chan<- presence.Answer) (Asked, error) {
	a.calls++
	a.asked = Asked{}
	var batch []presence.User
	flush := func() error {
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
		a.asked.Requests++
		answer, err := a.answer(ctx, batch)
		batch = nil
		if err != nil {
			return err
		}
		select {
		case answers <- answer:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	for u := range users {
		if batch = append(batch, u); len(batch) == a.batch {
			if err := flush(); err != nil {
				return a.asked, err
			}
		}
	}
	if len(batch) > 0 {
		return a.asked, flush()
	}
	return a.asked, nil
}

// recorder returns a recorder as after the lease was won.
func recorder(t testing.TB, l Watchlist, z Asker, b *book) *Recorder {
	t.Helper()
	s, err := ParseSchedule("@every 10s")
	if err != nil {
		t.Fatal(err)
	}
	return &Recorder{
		Watchlist: l, Zim: z, Ledger: b, Memory: b.memory(), LastSweep: b.lastSweep, Schedule: s, Log: zerolog.Nop(),
	}
}

// names are n ids.
func names(n int) []string {
	ids := make([]string, n)
	for i := range ids {
		ids[i] = fmt.Sprintf("user-%d", i)
	}
	return ids
}

// Confirm asks about some in one batch, or several.
func (a *asker) Confirm(ctx context.Context, users []presence.User, answers chan<- presence.Answer) (Asked, error) {
	confirm := asker{batch: a.batch, answer: a.answer}
	if a.confirm != nil {
		confirm.answer = a.confirm
	}
	return confirm.Ask(ctx, slices.Values(users), answers)
}
