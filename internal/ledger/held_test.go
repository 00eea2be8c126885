package ledger

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/rs/zerolog"

	"github.com/zim-presence/poller/internal/local/localtest"
	"github.com/zim-presence/poller/presence"
)

// change is a change of a user that was seen that many seconds after noon and waits.
func change(u presence.User, to presence.Status, after, at int) presence.Held {
	h := presence.Held{User: u, To: to, After: noon.Add(time.Duration(after) * time.Second), SeenAt: noon.Add(time.Duration(at) * time.Second)}
	if to == presence.Offline {
		h.Detail = presence.Timeout
	}
	return h
}

// confirmed is the event and the state that a change comes to.
func confirmed(seq, prev int64, h presence.Held, at int) presence.Changes {
	kind, from := presence.KindOffline, presence.Online
	if h.To == presence.Online {
		kind, from = presence.KindOnline, presence.Offline
	}
	known := noon.Add(time.Duration(at) * time.Second)
	return presence.Changes{
		Transitions: []presence.Transition{{
			Seq: seq, PrevSeq: prev, User: h.User, Kind: kind, From: from, To: h.To, Detail: h.Detail,
			After: h.After, ObservedAt: h.SeenAt, ConfirmedAt: known, Sweep: 109,
		}},
		States: []presence.State{{
			User: h.User, Watched: true, Status: h.To, Detail: h.Detail, Since: h.SeenAt, ObservedAt: known, AskedAt: known.Add(-time.Second), LastSeq: seq,
		}},
		Settled: []uint32{h.User.No},
	}
}

// stale is the event that says that there was no answer for too long, and its state.
func stale(seq, prev int64, u presence.User, from presence.Status, at int) presence.Changes {
	e := told(seq, prev, u, from, presence.Unknown, at)
	e.Kind = presence.KindStale
	return presence.Changes{Transitions: []presence.Transition{e.Transition}, States: []presence.State{{
		User: u, Watched: true, Stale: true, Since: e.ObservedAt, ObservedAt: e.ObservedAt, AskedAt: e.ObservedAt, LastSeq: seq,
	}}}
}

// loaded is what a lease finds, by user.
func loaded(t testing.TB, lease *Lease) map[string]Loaded {
	t.Helper()
	all := map[string]Loaded{}
	if err := lease.Load(t.Context(), func(u Loaded) error { all[u.State.User.ID] = u; return nil }); err != nil {
		t.Fatal(err)
	}
	return all
}

func heldRows(t testing.TB, pool *pgxpool.Pool) string {
	t.Helper()
	return value[string](t, pool, `select coalesce(string_agg(user_no || ' ' || status || ' ' || extract(epoch from after - $1)::int || ' ' || extract(epoch from seen_at - $1)::int, ', ' order by user_no), '') from held_changes`, noon)
}

// A change that waits takes no number, survives whoever wrote it, and becomes one event.
func TestHeldSurvivesTheTerm(t *testing.T) {
	l, pool := open(t)
	first := win(t, l)
	users := enroll(t, first, "flips", "stays")
	for seq, id := range []string{"flips", "stays"} {
		record(t, first, told(int64(seq)+1, 0, users[id].User, presence.Unknown, presence.Online, 0))
	}
	flips := users["flips"].User
	commit(t, first, presence.Changes{Held: []presence.Held{change(flips, presence.Offline, 60, 70)}}, 107)
	want := change(flips, presence.Offline, 120, 130) // the one before was dropped, and this is another
	commit(t, first, presence.Changes{Held: []presence.Held{want}}, 108)
	snapshot(t, first, 108, 2, 125) // it saw both, and of one of them something else

	second := seize(t, l)
	if second.LastSeq() != 2 || second.LastSweep() != 108 {
		t.Errorf("the next holder starts with event %d and sweep %d, want 2 and 108", second.LastSeq(), second.LastSweep())
	}
	begun := noon.Add(125 * time.Second)
	got := loaded(t, second)
	state := func(id string, seq int64) presence.State {
		return presence.State{User: users[id].User, Watched: true, Status: presence.Online, Since: noon, ObservedAt: noon, AskedAt: noon.Add(-time.Second), LastSeq: seq}
	}
	if diff := cmp.Diff(map[string]Loaded{
		"flips": {State: state("flips", 1), Answered: begun, Seen: want.After, Held: &want},
		"stays": {State: state("stays", 2), Answered: begun, Seen: begun},
	}, got); diff != "" {
		t.Errorf("loaded (-want +got):\n%s", diff)
	}
	if shown := value[string](t, pool, `select string_agg(user_id || ' ' || status || ' ' || extract(epoch from observed_at - $1)::int, ', ' order by user_id) from presence`, noon); shown !=
		"flips online 120, stays online 125" {
		t.Errorf("presence shows %s: the told status, and when it was last seen", shown)
	}

	commit(t, second, confirmed(3, 1, want, 190), 109)
	if rows := heldRows(t, pool); rows != "" {
		t.Errorf("%s waits still", rows)
	}
	e, _, err := l.Event(t.Context(), 3)
	if err != nil || e.Encoding != presence.EncodingV2 || !e.ConfirmedAt.Equal(noon.Add(190*time.Second)) || !e.ObservedAt.Equal(want.SeenAt) || !e.After.Equal(want.After) {
		t.Errorf("event 3 is %+v, %v", e, err)
	}
	data, err := e.Data()
	if again, parsed := presence.ParseEvent(data); err != nil || parsed != nil || again.ConfirmedAt != e.ConfirmedAt || !bytes.Contains(data, []byte(`"confirmed_at":"2026-11-23T12:03:10.000000Z"`)) {
		t.Errorf("event 3 is told as %s, %v, %v", data, err, parsed)
	}
	if encodings := value[string](t, pool, `select string_agg(encoding || '', '' order by seq) from transitions`); encodings != "112" {
		t.Errorf("encodings %s, want 112", encodings)
	}
	for at, want := range map[int]int64{189: 1, 190: 3} { // seen in between, it was not told yet
		by, err := l.Past().BroughtBy(t.Context(), []uint32{flips.No}, noon.Add(time.Duration(at)*time.Second), 3)
		if err != nil || by[flips.No].Seq != want {
			t.Errorf("%d s after noon the status was brought by %+v, %v, want event %d", at, by, err, want)
		}
	}
	var page []presence.Event
	if err := l.Past().Events(t.Context(), presence.Cursor{Seq: 2}, 3, func(events []presence.Event) error { page = append(page, events...); return nil }); err != nil ||
		cmp.Diff([]presence.Event{e}, page) != "" {
		t.Errorf("the past has %+v, %v", page, err)
	}
}

// A change that is settled is gone, and others stay.
func TestHeldIsSettled(t *testing.T) {
	l, pool := open(t)
	lease := win(t, l)
	users := enroll(t, lease, "a", "b", "c")
	var held []presence.Held
	for seq, id := range []string{"a", "b", "c"} {
		record(t, lease, told(int64(seq)+1, 0, users[id].User, presence.Unknown, presence.Online, 0))
		held = append(held, change(users[id].User, presence.Offline, 10, 20))
	}
	commit(t, lease, presence.Changes{Held: held}, 104)
	moved := change(users["c"].User, presence.Offline, 30, 40)
	commit(t, lease, presence.Changes{Held: []presence.Held{moved}, Settled: []uint32{users["a"].User.No, 999}}, 105)
	if rows := heldRows(t, pool); rows != "2 offline 10 20, 3 offline 30 40" {
		t.Errorf("%s wait, want those of b and c", rows)
	}
	// Other apps have the same numbers.
	execute(t, pool, `insert into held_changes (app_id, user_no, status, after, seen_at) values (7, 2, 'online', now(), now())`)
	commit(t, lease, presence.Changes{Settled: []uint32{users["b"].User.No, users["c"].User.No}}, 106)
	if n := value[int](t, pool, `select count(*) from held_changes where app_id = 7`); n != 1 {
		t.Error("another app's was settled")
	}
	if seq, sweep := value[int](t, pool, `select last_seq from apps where app_id = $1`, app), value[int](t, pool, `select last_sweep from apps where app_id = $1`, app); seq != 3 || sweep != 106 {
		t.Errorf("the app stands at event %d and sweep %d, want 3 and 106: what waits has no number", seq, sweep)
	}
}

// All or nothing, and nothing under a lost lease.
func TestHeldIsFenced(t *testing.T) {
	l, pool := open(t)
	old := win(t, l)
	users := enroll(t, old, "a", "b")
	for seq, id := range []string{"a", "b"} {
		record(t, old, told(int64(seq)+1, 0, users[id].User, presence.Unknown, presence.Online, 0))
	}
	a, b := users["a"].User, users["b"].User
	commit(t, old, presence.Changes{Held: []presence.Held{change(a, presence.Offline, 10, 20)}}, 3)
	before := value[string](t, pool, `select (p.*)::text from apps p`)
	stranger := change(presence.User{No: 77, ID: "stranger"}, presence.Offline, 10, 20)
	if err := old.Commit(t.Context(), presence.Changes{Held: []presence.Held{change(b, presence.Offline, 10, 20), stranger}, Settled: []uint32{a.No}}, 4); err == nil || errors.Is(err, ErrFenced) {
		t.Errorf("a change of nobody is committed: %v", err)
	}
	for name, c := range map[string]presence.Changes{
		"ahead": func() presence.Changes { c := confirmed(9, 1, change(a, presence.Offline, 10, 20), 50); return c }(),
	} {
		execute(t, pool, `update apps set last_seq = last_seq + 1`)
		if err := old.Commit(t.Context(), c, 4); !errors.Is(err, ErrFenced) {
			t.Errorf("%s: %v, want ErrFenced", name, err)
		}
		execute(t, pool, `update apps set last_seq = last_seq - 1`)
	}
	if after := value[string](t, pool, `select (p.*)::text from apps p`); after != before {
		t.Errorf("the app is %s, was %s", after, before)
	}
	seize(t, l)
	for name, c := range map[string]presence.Changes{
		"held": {Held: []presence.Held{change(b, presence.Offline, 10, 20)}}, "settled": {Settled: []uint32{a.No}},
		"replaced": {Held: []presence.Held{change(a, presence.Offline, 30, 40)}}, "confirmed": confirmed(3, 1, change(a, presence.Offline, 10, 20), 50),
	} {
		if err := old.Commit(t.Context(), c, 4); !errors.Is(err, ErrFenced) {
			t.Errorf("%s under an old epoch: %v, want ErrFenced", name, err)
		}
	}
	if rows := heldRows(t, pool); rows != "1 offline 10 20" {
		t.Errorf("%s wait, want that of a as it was", rows)
	}
}

// The reply to a commit is lost: whoever loads next finds it done, with what waits.
func TestHeldOfACommitWithoutAnAnswer(t *testing.T) {
	direct, pool := open(t)
	proxy, through := localtest.PostgresProxy(t, pool.Config().ConnString())
	cut, err := pgxpool.New(t.Context(), through)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cut.Close)
	lease := win(t, New(cut, app, zerolog.Nop()))
	u := enroll(t, lease, "u")["u"].User
	record(t, lease, told(1, 0, u, presence.Unknown, presence.Online, 0))
	proxy.SetHook(func(conn int, d localtest.Direction, data []byte) localtest.Verdict {
		const session = 1                                                                           // of the lease
		if conn != session && d == localtest.ToClient && bytes.Contains(data, []byte("SELECT 1")) { // the statement is done
			return localtest.CutBefore
		}
		return localtest.Pass
	})
	defer proxy.SetHook(nil) // it is released at the end
	want := change(u, presence.Offline, 10, 20)
	err = lease.Commit(t.Context(), presence.Changes{Held: []presence.Held{want}}, 2)
	if err == nil || errors.Is(err, ErrFenced) {
		t.Fatalf("a commit whose reply was cut off: %v, want an unknown outcome", err)
	}
	next := seize(t, direct)
	if got := loaded(t, next)["u"]; got.Held == nil || *got.Held != want || next.LastSeq() != 1 {
		t.Errorf("loaded %+v at event %d, want what waits, and event 1", got, next.LastSeq())
	}
	commit(t, next, confirmed(2, 1, want, 50), 3)
}

// The first event of a day that has no partition yet comes with what waits.
func TestHeldWithAMissingPartition(t *testing.T) {
	l, pool := open(t)
	lease := win(t, l)
	users := enroll(t, lease, "a", "b")
	record(t, lease, told(1, 0, users["a"].User, presence.Unknown, presence.Online, 0))
	for _, name := range value[[]string](t, pool, `select array_agg(inhrelid::regclass::text) from pg_inherits where inhparent = 'transitions'::regclass`) {
		execute(t, pool, `drop table `+name)
	}
	c := presence.Changes{Held: []presence.Held{change(users["a"].User, presence.Offline, 10, 20)}}
	one := baseline(2, users["b"].User, presence.Online, noon)
	c.Transitions, c.States = one.Transitions, one.States
	commit(t, lease, c, 2)
	if rows := heldRows(t, pool); rows != "1 offline 10 20" || len(events(t, l, presence.Cursor{}, 10)) != 1 {
		t.Errorf("%s wait, %d events, want one each", rows, len(events(t, l, presence.Cursor{}, 10)))
	}
}

// Holders who have lost the lease and those who have it write the same rows at once,
// in any order, and nobody waits for whom waits for them.
func TestHeldWithoutDeadlock(t *testing.T) {
	l, pool := open(t)
	lease := win(t, l)
	ids := make([]string, 60)
	for i := range ids {
		ids[i] = string(rune('A' + i))
	}
	users := enroll(t, lease, ids...)
	var up, down presence.Changes
	for i, id := range ids {
		record(t, lease, told(int64(i)+1, 0, users[id].User, presence.Unknown, presence.Online, 0))
		up.Held = append(up.Held, change(users[id].User, presence.Offline, 10, 20))
	}
	down.Held = slices.Clone(up.Held)
	slices.Reverse(down.Held)
	for round := range 10 {
		var next *Lease
		found := traces(t, l, ids[round])
		var at sync.WaitGroup
		for _, write := range []func() error{
			func() error {
				return lease.Commit(t.Context(), presence.Changes{Held: down.Held[:len(ids)-round]}, 100)
			},
			func() error { return lease.Commit(t.Context(), presence.Changes{Settled: []uint32{49, 33, 41}}, 100) },
			func() (err error) {
				if next, err = l.Seize(t.Context(), Terms{Owner: "taker", TTL: terms.TTL, Window: time.Microsecond}); err != nil {
					return err
				}
				if _, err = next.Forget(t.Context(), found); err != nil {
					return err
				}
				return next.Commit(t.Context(), presence.Changes{Held: up.Held[round+1:]}, 100)
			},
		} {
			at.Go(func() {
				if err := write(); err != nil && !errors.Is(err, ErrFenced) {
					t.Error(err)
				}
			})
		}
		at.Wait()
		if next == nil {
			return
		}
		t.Cleanup(func() {
			if err := next.Release(context.Background(), time.Time{}); err != nil {
				t.Error(err)
			}
		})
		lease = next
	}
	if n := value[int](t, pool, `select count(*) from held_changes h where not exists (select from user_states u where u.app_id = h.app_id and u.user_no = h.user_no)`); n != 0 {
		t.Errorf("%d changes of nobody wait", n)
	}
}
