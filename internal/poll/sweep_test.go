package poll

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/RoaringBitmap/roaring/v2"
	"github.com/google/go-cmp/cmp"

	"github.com/zim-presence/poller/presence"
)

// mustSweep sweeps without an error and without a breach of the ledger.
func mustSweep(t *testing.T, r *Recorder, b *book) Report {
	t.Helper()
	report, err := r.Sweep(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	whole(t, report, b)
	return report
}

// whole checks what holds of every report.
func whole(t *testing.T, r Report, b *book) {
	t.Helper()
	if b.broken != nil {
		t.Fatal(b.broken)
	}
	if r.Watched != r.Seen+r.MissedTotal() {
		t.Fatalf("%d watched, %d seen and %d missed", r.Watched, r.Seen, r.MissedTotal())
	}
}

func kinds(events []presence.Transition) (words []string) {
	for _, e := range events {
		words = append(words, e.User.ID+" "+e.Kind.String())
	}
	return words
}

func numbers(t *testing.T, bitmap []byte) []uint32 {
	t.Helper()
	b := roaring.New()
	if _, err := b.ReadFrom(bytes.NewReader(bitmap)); err != nil {
		t.Fatal(err)
	}
	return b.ToArray()
}

func TestSweep(t *testing.T) {
	b, l, z := newBook(), newList("a", "b", "c"), everybody(presence.Online)
	z.batch = 2
	r := recorder(t, l, z, b)
	var listed, progress []int
	r.Listed = func(r Report) { listed = append(listed, r.Watched) }
	r.Progress = func(r Report) { progress = append(progress, r.Seen) }
	first := mustSweep(t, r, b)
	want := Report{
		Sweep: 1, Started: first.Started, Finished: first.Finished, Watched: 3, Added: 3, Listed: Listed{Invalid: 3, Long: 1},
		Seen: 3, Missed: map[presence.MissReason]int{}, Asked: Asked{Requests: 2}, Transitions: 3, Seq: 3, Complete: true,
	}
	if diff := cmp.Diff(want, first); diff != "" {
		t.Errorf("report (-want +got):\n%s", diff)
	}
	if !slices.Equal(listed, []int{3}) || !slices.Equal(progress, []int{2, 3}) {
		t.Errorf("listed %v and seen %v, want 3; 2 and 3", listed, progress)
	}
	if got := kinds(b.events); !slices.Equal(got, []string{"a baseline", "b baseline", "c baseline"}) {
		t.Errorf("events %v, want three baselines", got)
	}

	// Nothing changed: one row is written.
	b.calls = nil
	second := mustSweep(t, r, b)
	if !slices.Equal(b.calls, []string{"snapshot"}) || second.Sweep != 2 || second.Transitions != 0 || !second.Complete {
		t.Errorf("a sweep without changes calls %v: %+v", b.calls, second)
	}
	s := b.snapshots[1]
	if on, known := numbers(t, s.Online), numbers(t, s.Known); !slices.Equal(on, []uint32{1, 2, 3}) || !slices.Equal(known, on) {
		t.Errorf("snapshot of %v online and %v known, want 1 to 3", on, known)
	}
	s.Online, s.Known = nil, nil
	if diff := cmp.Diff(presence.Snapshot{
		Sweep: 2, Started: second.Started, Finished: s.Finished, Seq: 3, Watched: 3, Seen: 3, Requests: 2,
	}, s); diff != "" {
		t.Errorf("snapshot (-want +got):\n%s", diff)
	}
}

// Users without an answer keep their state, and are counted by reason.
func TestMisses(t *testing.T) {
	b, l := newBook(), newList(names(10)...)
	mustSweep(t, recorder(t, l, everybody(presence.Online), b), b)
	reasons := []presence.MissReason{presence.MissAbsent, presence.MissConflict, presence.MissAbsent, presence.MissRefused}
	z := &asker{batch: 5, answer: func(_ context.Context, batch []presence.User) (presence.Answer, error) {
		slices.SortFunc(batch, func(a, b presence.User) int { return int(b.No) - int(a.No) })
		a := answer(presence.Offline, batch[4])
		for i, why := range reasons {
			a.Missed = append(a.Missed, presence.Miss{User: batch[i], Reason: why})
		}
		return a, nil
	}}
	b.calls = nil
	report := mustSweep(t, recorder(t, l, z, b), b)
	want := map[presence.MissReason]int{presence.MissAbsent: 4, presence.MissConflict: 2, presence.MissRefused: 2}
	if diff := cmp.Diff(want, report.Missed); diff != "" || report.Seen != 2 || report.Transitions != 2 || !report.Complete {
		t.Errorf("report %+v; missed (-want +got):\n%s", report, diff)
	}
	s := b.snapshots[1]
	if len(s.Missed) != 8 || !slices.IsSorted(s.Missed) || len(numbers(t, s.Online)) != 8 || len(numbers(t, s.Known)) != 10 {
		t.Errorf("missed %v, online %v; want 8, ascending, all of them still online", s.Missed, numbers(t, s.Online))
	}
}

// A watchlist that breaks off removes nobody; what was enrolled is found again.
func TestWatchlistBreaksOff(t *testing.T) {
	b, l := newBook(), newList(names(20)...)
	r := recorder(t, l, everybody(presence.Online), b)
	mustSweep(t, r, b)
	for _, fails := range []int{0, 10, 20} {
		l.ids, l.fails = append(names(20), "new"), fails
		b.calls = nil
		report, err := r.Sweep(t.Context())
		whole(t, report, b)
		if !errors.Is(err, errFault) || errors.Is(err, ErrTermOver) || len(b.calls) != 0 || report.Sweep != 2 || report.Complete {
			t.Errorf("broken off after %d: %v, calls %v, report %+v; want an error that passes and no call", fails, err, b.calls, report)
		}
	}
	l.fails = -1
	report := mustSweep(t, r, b)
	if report.Sweep != 2 || report.Watched != 21 || report.Added != 1 || report.Removed != 0 {
		t.Errorf("the next sweep: %+v, want 21 watched, one added", report)
	}
}

func TestEnrollsInChunks(t *testing.T) {
	b, l := newBook(), newList(names(2*enrollAtOnce+1)...)
	r := recorder(t, l, everybody(presence.Offline), b)
	l.fails = enrollAtOnce + 7
	if report, err := r.Sweep(t.Context()); !errors.Is(err, errFault) || report.Added != enrollAtOnce || b.count("enroll") != 1 {
		t.Errorf("broken off: %v, %d enrolled in %d calls", err, report.Added, b.count("enroll"))
	}
	l.fails = -1
	if report := mustSweep(t, r, b); report.Added != enrollAtOnce+1 || b.count("enroll") != 3 || report.Watched != 2*enrollAtOnce+1 {
		t.Errorf("%d enrolled in %d calls, %d watched; want the rest in 2", report.Added, b.count("enroll")-1, report.Watched)
	}
}

// Truncated and loaded again between two sweeps is no change; removed and added
// again in two sweeps is told.
func TestRemovedAndAddedAgain(t *testing.T) {
	b, l := newBook(), newList("a", "b", "c")
	r := recorder(t, l, everybody(presence.Online), b)
	mustSweep(t, r, b)
	l.ids = []string{"c", "b", "a"}
	if report := mustSweep(t, r, b); report.Transitions != 0 || report.Added != 0 || report.Removed != 0 {
		t.Errorf("loaded again: %+v, want no change", report)
	}
	l.ids = []string{"c", "a"}
	if report := mustSweep(t, r, b); report.Removed != 1 || report.Transitions != 1 || report.Watched != 2 {
		t.Errorf("removed: %+v, want one", report)
	}
	l.ids = []string{"b", "c", "a"}
	if report := mustSweep(t, r, b); report.Added != 1 || report.Transitions != 1 {
		t.Errorf("added again: %+v, want one", report)
	}
	if got := kinds(b.events[3:]); !slices.Equal(got, []string{"b removed", "b baseline"}) || b.events[4].PrevSeq != 4 || b.events[4].User.No != 2 {
		t.Errorf("events %v, the last %+v; want removed, and a baseline of the same number behind it", got, b.events[4])
	}
}

// More changes than one statement can bear are committed in parts.
func TestLargeRemovals(t *testing.T) {
	for _, answered := range []bool{true, false} {
		b, l, n := newBook(), newList(names(2*commitAtMost+1000)...), 2*commitAtMost+1000
		z := everybody(presence.Online)
		if !answered {
			z.answer = func(_ context.Context, batch []presence.User) (a presence.Answer, err error) {
				for _, u := range batch {
					a.Missed = append(a.Missed, presence.Miss{User: u, Reason: presence.MissFailed})
				}
				return a, nil
			}
		}
		r := recorder(t, l, z, b)
		r.AllowSuddenDrop = true
		mustSweep(t, r, b)
		b.commits, l.ids = nil, l.ids[:500]
		report := mustSweep(t, r, b)
		if report.Removed != n-500 || answered != (report.Transitions == n-500) || len(b.commits) != 3 {
			t.Errorf("answered %t: %d removed, %d events, %d commits; want %d, 3 commits", answered, report.Removed, report.Transitions, len(b.commits), n-500)
		}
		for _, c := range b.commits {
			if len(c.Transitions) > commitAtMost || len(c.States) > commitAtMost {
				t.Errorf("a commit of %d events and %d states", len(c.Transitions), len(c.States))
			}
		}
		for id, s := range b.users {
			if s.Watched != slices.Contains(l.ids, id) {
				t.Fatalf("%+v, want watched %t", s, !s.Watched)
			}
		}
	}
}

// After a write that failed, done or not, nothing more is written, nothing more
// is asked, and the next term goes on without doubling anything.
func TestWritesThatFail(t *testing.T) {
	for _, call := range []string{"enroll", "commit", "commit of a removal", "snapshot"} {
		for _, applied := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, done %t", call, applied), func(t *testing.T) {
				b, l := newBook(), newList(names(250)...)
				mustSweep(t, recorder(t, l, everybody(presence.Online), b), b)
				switch call {
				case "enroll":
					l.ids = append(l.ids, "new")
				case "commit of a removal":
					l.ids = l.ids[1:]
				}
				b.calls = nil
				fails, _, _ := strings.Cut(call, " ")
				b.fault = func(c string) (bool, error) {
					if c == fails {
						return applied, errFault
					}
					return true, nil
				}
				r := recorder(t, l, everybody(presence.Offline), b)
				var ended error
				r.Ended = func(_ Report, err error) { ended = err }
				report, err := r.Sweep(t.Context())
				whole(t, report, b)
				if !errors.Is(err, ErrTermOver) || !errors.Is(err, errFault) || !errors.Is(ended, err) || report.Complete {
					t.Errorf("Sweep() = %+v, %v, want the term over", report, err)
				}
				if last := b.calls[len(b.calls)-1]; last != fails || b.count(fails) != 1 {
					t.Errorf("calls %v, want none after the one that failed", b.calls)
				}
				b.fault = func(string) (bool, error) { return true, nil }
				mustSweep(t, recorder(t, l, everybody(presence.Offline), b), b)
				told := map[string]int{}
				for _, e := range b.events {
					told[fmt.Sprint(e.User.ID, e.Kind)]++
				}
				for what, n := range told {
					if n > 1 {
						t.Errorf("%s is told %d times", what, n)
					}
				}
				for id, s := range b.users {
					if s.Watched && s.Status != presence.Offline {
						t.Errorf("%s is %s in the end", id, s.Status)
					}
				}
			})
		}
	}
}

// script is an asker that is a function.
type script func(ctx context.Context, users []presence.User, answers chan<- presence.Answer) error

func (s script) Ask(ctx context.Context, users iter.Seq[presence.User], answers chan<- presence.Answer) (Asked, error) {
	return Asked{Requests: 1}, s(ctx, slices.Collect(users), answers)
}

func (script) Confirm(context.Context, []presence.User, chan<- presence.Answer) (Asked, error) {
	return Asked{}, errFault
}

// A commit that fails ends the asking, which may be in the middle of anything.
func TestFailedCommitEndsTheAsking(t *testing.T) {
	b := newBook()
	ended := false
	z := script(func(ctx context.Context, users []presence.User, answers chan<- presence.Answer) error {
		for i := range 2 * answersAhead { // some are on their way when it fails
			answers <- answer(presence.Online, users[i])
		}
		<-ctx.Done()
		ended = true
		return context.Cause(ctx)
	})
	b.fault = func(call string) (bool, error) {
		if call == "commit" {
			return false, errFault
		}
		return true, nil
	}
	report, err := recorder(t, newList(names(1000)...), z, b).Sweep(t.Context())
	whole(t, report, b)
	if !errors.Is(err, ErrTermOver) || !ended || b.count("commit") != 1 || report.Missed[presence.MissFailed] < 1000-2*answersAhead {
		t.Errorf("Sweep() = %+v, %v, asking ended %t, %d commits", report, err, ended, b.count("commit"))
	}
}

// Asking that ends early leaves no snapshot, and what was answered is kept.
func TestAskingEndsEarly(t *testing.T) {
	for name, end := range map[string]error{"with an error": errFault, "without one": nil} {
		t.Run(name, func(t *testing.T) {
			b := newBook()
			z := script(func(_ context.Context, users []presence.User, answers chan<- presence.Answer) error {
				a := answer(presence.Online, users[:30]...)
				a.Missed = []presence.Miss{{User: users[30], Reason: presence.MissAbsent}}
				answers <- a
				return end
			})
			r := recorder(t, newList(names(100)...), z, b)
			report, err := r.Sweep(t.Context())
			whole(t, report, b)
			if err == nil || errors.Is(err, ErrTermOver) || !errors.Is(err, end) && end != nil || len(b.snapshots) != 0 || report.Complete {
				t.Errorf("Sweep() = %+v, %v, %d snapshots; want an error that passes and no snapshot", report, err, len(b.snapshots))
			}
			want := map[presence.MissReason]int{presence.MissAbsent: 1, presence.MissFailed: 69}
			if diff := cmp.Diff(want, report.Missed); diff != "" || report.Transitions != 30 || len(b.events) != 30 {
				t.Errorf("%d events; missed (-want +got):\n%s", len(b.events), diff)
			}
			// Something was written under this number.
			r.Zim = everybody(presence.Online)
			if report := mustSweep(t, r, b); report.Sweep != 2 || report.Transitions != 70 {
				t.Errorf("the next sweep: %+v, want number 2, 70 events", report)
			}
		})
	}
}

// When ctx ends, in whatever phase, what was answered is committed and nothing
// is begun any more; a write in flight is finished.
func TestCtxEnds(t *testing.T) {
	for _, c := range []struct {
		phase string
		calls []string // in the sweep in which it ends
		whole bool     // the sweep is complete all the same
	}{
		{"listing", nil, false},
		{"enroll", []string{"enroll"}, false},
		{"asking", []string{"enroll", "commit"}, false},
		{"commit", []string{"enroll", "commit"}, false},
		{"snapshot", []string{"enroll", "commit", "snapshot"}, true},
	} {
		t.Run(c.phase, func(t *testing.T) {
			why := errors.New("asked to stop")
			ctx, cancel := context.WithCancelCause(t.Context())
			defer cancel(nil)
			b, l := newBook(), newList(names(100)...)
			b.fault = func(call string) (bool, error) {
				if call == c.phase {
					cancel(why)
				}
				return true, nil
			}
			l.mid = func() {
				if c.phase == "listing" {
					cancel(why)
				}
			}
			z := script(func(ctx context.Context, users []presence.User, answers chan<- presence.Answer) error {
				if ctx.Err() != nil {
					return context.Cause(ctx)
				}
				if c.phase == "commit" || c.phase == "asking" {
					answers <- answer(presence.Online, users[:50]...)
					if c.phase == "asking" {
						cancel(why)
					}
					<-ctx.Done()
					return context.Cause(ctx)
				}
				answers <- answer(presence.Online, users...)
				return nil
			})
			r := recorder(t, l, z, b)
			report, err := r.Sweep(ctx)
			whole(t, report, b)
			if errors.Is(err, ErrTermOver) || (err == nil) != c.whole || report.Complete != c.whole || !slices.Equal(b.calls, c.calls) {
				t.Errorf("Sweep() = %+v, %v, calls %v; want complete %t, calls %v", report, err, b.calls, c.whole, c.calls)
			}
			if slices.Contains(c.calls, "commit") && report.Transitions != report.Seen {
				t.Errorf("%d answered, %d committed", report.Seen, report.Transitions)
			}
			if err := r.Run(ctx); !errors.Is(err, why) {
				t.Errorf("Run() = %v, want the cause", err)
			}
		})
	}
}

func TestTimesOfAReport(t *testing.T) {
	b := newBook()
	report := mustSweep(t, recorder(t, newList("a"), everybody(presence.Online), b), b)
	s := b.snapshots[0]
	if report.Started.Location() != time.UTC || report.Started.Nanosecond()%1000 != 0 || s.Started.After(s.Finished) || s.Finished.After(report.Finished) {
		t.Errorf("started %s, snapshot %s, finished %s", report.Started, s.Finished, report.Finished)
	}
}
