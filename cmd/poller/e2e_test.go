package main

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/zim-presence/poller/internal/zimsim"
	"github.com/zim-presence/poller/presence"
)

// awkward ids are legal, and trouble for subjects, URLs, keys or shells.
var awkward = []string{
	"a.b", "x>y", "a space", "=2E", "100%", strings.Repeat("w", 32), "a+b", "a&b=c", "#hash?", "[]", "..", "a:b;c", "~!$()", "{|}", "_-", "^@",
}

// population is n users, the awkward ones among them, in states of every kind:
// the first are logged out in whole batches, the others mixed.
func population(n int) map[string]zimsim.State {
	users := map[string]zimsim.State{}
	for i := range n - len(awkward) {
		state := zimsim.LoggedOut
		if i >= n/3 {
			state = zimsim.State(i % 3)
		}
		users[fmt.Sprintf("user-%05d", i)] = state
	}
	for i, id := range awkward {
		users[id] = zimsim.State(i % 3)
	}
	return users
}

// keys are the ids in order, so that neighbours stay together in a batch.
func keys(m map[string]zimsim.State) []string { return slices.Sorted(maps.Keys(m)) }

// among returns n users who are in the given state.
func among(users map[string]zimsim.State, state zimsim.State, n int) (ids []string) {
	for id, s := range users {
		if s == state && len(ids) < n {
			ids = append(ids, id)
		}
	}
	return ids
}

func TestTheMainJob(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	users := population(1000)
	w.set(users)
	w.watch(keys(users)...)
	daemon := w.start("run")

	for id, told := range w.newEvents(0, len(users)) {
		e := told[0]
		if len(told) != 1 || e.Kind != presence.KindBaseline || e.From != presence.Unknown || e.To.String() != users[id].Status() ||
			e.Detail.String() != users[id].Detail() || !e.After.IsZero() || e.PrevSeq != 0 {
			t.Errorf("baseline of %q (%s): %d events, the first %s", id, users[id], len(told), e.data)
		}
	}
	if w.zim.Stats().AllGone == 0 {
		t.Error("no batch was logged out as a whole")
	}
	w.flips(users)
	w.comesAndGoes(users)
	w.reloads(users)
	daemon.stop()
	w.audit()
	w.auditIntervals(w.events(0))
	w.sweepsInARow()
}

// flips makes every kind of change, for several users each.
func (w *world) flips(users map[string]zimsim.State) {
	w.t.Helper()
	states := []zimsim.State{zimsim.LoggedOut, zimsim.Timeout, zimsim.Online}
	before := len(w.events(0))
	last := map[string]told{}
	for _, e := range w.events(0) {
		last[e.User.ID] = e
	}
	flipped := map[string]zimsim.State{}
	wantEvents := 0
	for _, from := range states {
		candidates := among(users, from, 20)
		for i, id := range candidates {
			to := states[(int(from)+1+i%2)%3]
			flipped[id] = to
			if to.Status() != from.Status() {
				wantEvents++
			}
		}
	}
	at := w.set(flipped)
	told := w.newEvents(before, wantEvents)
	for id, to := range flipped {
		from := users[id]
		users[id] = to
		if from.Status() == to.Status() {
			if len(told[id]) != 0 {
				w.t.Errorf("%q went from %s to %s: %d events, want none", id, from, to, len(told[id]))
			}
			continue
		}
		if len(told[id]) != 1 {
			w.t.Errorf("%q went from %s to %s: %d events, want one", id, from, to, len(told[id]))
			continue
		}
		e := told[id][0]
		if e.From.String() != from.Status() || e.To.String() != to.Status() || e.Detail.String() != to.Detail() || e.Kind.String() != to.Status() {
			w.t.Errorf("%q went from %s to %s, the event says %s", id, from, to, e.data)
		}
		if !at.After(e.After) || at.After(e.ObservedAt) {
			w.t.Errorf("%q changed at %s, the event says in (%s, %s]", id, at, e.After, e.ObservedAt)
		}
		if e.PrevSeq != last[id].Seq {
			w.t.Errorf("%q: prev_seq %d, want %d", id, e.PrevSeq, last[id].Seq)
		}
	}
}

// comesAndGoes removes users, adds others, and brings the removed ones back.
func (w *world) comesAndGoes(users map[string]zimsim.State) {
	w.t.Helper()
	leaving := append([]string{"a.b", "a space"}, among(users, zimsim.Online, 3)...)
	numbers := w.numbers(leaving)
	before := len(w.events(0))
	w.unwatch(leaving...)
	fresh := []string{"newcomer 1", "newcomer.2"}
	w.set(map[string]zimsim.State{fresh[0]: zimsim.Online, fresh[1]: zimsim.Timeout})
	w.watch(fresh...)
	told := w.newEvents(before, len(leaving)+len(fresh))
	removed := map[string]int64{}
	for _, id := range leaving {
		e := told[id][0]
		removed[id] = e.Seq
		if e.Kind != presence.KindRemoved || e.To != presence.Unknown || e.Detail != presence.NoDetail {
			w.t.Errorf("%q left, the event says %s", id, e.data)
		}
	}
	for _, id := range fresh {
		users[id], _ = w.zim.State(id)
		if e := told[id][0]; e.Kind != presence.KindBaseline || e.PrevSeq != 0 || e.To.String() != users[id].Status() {
			w.t.Errorf("%q is new, the event says %s", id, e.data)
		}
	}
	before = len(w.events(0))
	w.watch(leaving...)
	told = w.newEvents(before, len(leaving))
	for _, id := range leaving {
		if e := told[id][0]; e.Kind != presence.KindBaseline || e.PrevSeq != removed[id] {
			w.t.Errorf("%q is back behind event %d, the event says %s", id, removed[id], e.data)
		}
	}
	for id, no := range w.numbers(leaving) {
		if no != numbers[id] {
			w.t.Errorf("%q had number %d and has %d", id, numbers[id], no)
		}
	}
}

func (w *world) numbers(ids []string) map[string]int {
	numbers := map[string]int{}
	for _, id := range ids {
		numbers[id] = w.count(`select user_no from user_states where app_id = $1 and user_id = $2`, worldApp, id)
	}
	return numbers
}

// reloads empties and fills the watchlist, in transactions, while sweeps go on.
func (w *world) reloads(users map[string]zimsim.State) {
	w.t.Helper()
	before := len(w.events(0))
	for range 5 {
		err := pgx.BeginFunc(w.t.Context(), w.pool, func(tx pgx.Tx) error {
			if _, err := tx.Exec(w.t.Context(), `truncate watched_users`); err != nil {
				return err
			}
			_, err := tx.CopyFrom(w.t.Context(), pgx.Identifier{"watched_users"}, []string{"app_id", "user_id"},
				pgx.CopyFromSlice(len(users), func() func(int) ([]any, error) {
					ids := keys(users)
					return func(i int) ([]any, error) { return []any{int64(worldApp), ids[i]}, nil }
				}()))
			return err
		})
		if err != nil {
			w.t.Fatal(err)
		}
		w.sweeps(1)
	}
	if n := len(w.events(before)); n != 0 {
		w.t.Errorf("%d events of reloading the same watchlist, want none", n)
	}
}

// sweepsInARow runs poller sweep again and again; the program that ends leaves
// word of its budget for the next.
func (w *world) sweepsInARow() {
	w.t.Helper()
	for range 4 {
		before := w.zim.Stats().Arrivals
		out, code := w.run("sweep")
		if code != 0 || !strings.Contains(out, "missed 0,") {
			w.t.Errorf("poller sweep: exit code %d, %q", code, out)
		}
		if w.zim.Stats().Arrivals == before {
			w.t.Error("poller sweep sent nothing")
		}
	}
	w.audit()
}

// A second process is refused by name, not left waiting.
func TestSweepIsRefusedWhileTheDaemonRuns(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.watch("a")
	daemon := w.start("run")
	w.sweeps(1)
	p := w.start("sweep")
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	holder := host + ":" + strconv.Itoa(daemon.cmd.Process.Pid)
	if code := p.ended(); code != 1 || !strings.Contains(strings.Join(p.lines, "\n"), holder) {
		t.Errorf("exit code %d, %q; want 1 and the holder %s", code, p.lines, holder)
	}
	daemon.stop()
}

// What was not told when the program ended is told by the next run, and what
// changed meanwhile is told once.
func TestRestart(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	users := population(100)
	w.set(users)
	w.watch(keys(users)...)
	if out, code := w.run("sweep"); code != 0 {
		t.Fatalf("exit code %d, %q", code, out)
	}
	if n := len(w.events(0)); n != len(users) {
		t.Fatalf("%d events, want %d", n, len(users))
	}
	if _, code := w.run("sweep"); code != 0 || len(w.events(0)) != len(users) {
		t.Errorf("a restart without changes: exit code %d, %d more events", code, len(w.events(len(users))))
	}
	online := among(users, zimsim.Online, 5)
	changed := map[string]zimsim.State{}
	for _, id := range online {
		changed[id] = zimsim.LoggedOut
	}
	w.set(changed)
	start := w.newest(`select max(started) from snapshots where app_id = $1`)
	if _, code := w.run("sweep"); code != 0 {
		t.Errorf("exit code %d", code)
	}
	for _, e := range w.events(len(users)) {
		if e.Kind != presence.KindOffline || !e.After.Equal(start) {
			t.Errorf("%q: %s; want offline after the start of the sweep before, %s", e.User.ID, e.data, start)
		}
	}
	if n := len(w.events(len(users))); n != len(online) {
		t.Errorf("%d events, want %d", n, len(online))
	}
	w.audit()
	w.auditIntervals(w.events(0))
}

func (w *world) newest(sql string) (at time.Time) {
	w.t.Helper()
	if err := w.pool.QueryRow(w.t.Context(), sql, worldApp).Scan(&at); err != nil {
		w.t.Fatal(err)
	}
	return at
}
