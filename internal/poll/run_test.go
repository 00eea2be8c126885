package poll

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"github.com/zim-presence/poller/presence"
)

// lasting is an asker whose nth sweep lasts so long.
func lasting(d ...time.Duration) script {
	n := 0
	return func(ctx context.Context, users []presence.User, answers chan<- presence.Answer) error {
		var pause time.Duration
		if n < len(d) {
			pause = d[n]
		}
		n++
		timer := time.NewTimer(pause)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		answers <- answer(presence.Online, users...)
		return nil
	}
}

// The first sweep comes at once and the others from start to start; one due time
// that falls into a sweep is kept, further ones are skipped and counted.
func TestSchedule(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBook()
		r := recorder(t, newList("a"), lasting(3*time.Second, 14*time.Second, 0, 35*time.Second), b)
		began := time.Now()
		var starts []time.Duration
		var skipped []int
		r.Ended = func(report Report, err error) {
			if err == nil {
				starts = append(starts, report.Started.Sub(began))
			}
		}
		r.Skipped = func(n int) { skipped = append(skipped, n) }
		ctx, cancel := context.WithTimeout(t.Context(), 85*time.Second)
		defer cancel()
		if err := r.Run(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Run() = %v, want that of ctx", err)
		}
		var want []time.Duration
		for _, s := range []int{0, 10, 24, 30, 65, 70, 80} { // 20 is kept until 24; of 40, 50 and 60 the last is kept
			want = append(want, time.Duration(s)*time.Second)
		}
		if !slices.Equal(starts, want) || !slices.Equal(skipped, []int{2}) || b.broken != nil {
			t.Errorf("started at %v and skipped %v, want %v and 2; %v", starts, skipped, want, b.broken)
		}
	})
}

// What passes does not end the term; the next due time tries again.
func TestRunGoesOnAfterWhatPasses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, l := newBook(), newList("a")
		l.fails = 0
		r := recorder(t, l, everybody(presence.Online), b)
		sweeps := 0
		r.Ended = func(_ Report, err error) {
			if sweeps++; sweeps == 3 {
				l.fails = -1
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), 35*time.Second)
		defer cancel()
		_ = r.Run(ctx)
		if sweeps != 4 || len(b.snapshots) != 1 || b.snapshots[0].Sweep != 1 {
			t.Errorf("%d sweeps, snapshots %+v; want 4 and one of sweep 1, the first that wrote anything", sweeps, b.snapshots)
		}
	})
}

func TestRunEndsWithTheTerm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBook()
		b.fault = func(call string) (bool, error) { return false, errFault }
		r := recorder(t, newList("a"), everybody(presence.Online), b)
		if err := r.Run(t.Context()); !errors.Is(err, ErrTermOver) || len(b.calls) != 1 {
			t.Errorf("Run() = %v after calls %v, want the term over after one", err, b.calls)
		}
	})
}

func TestOverdue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const patience = 20 * time.Second
		b := newBook()
		hang := make(chan struct{})
		z := script(func(_ context.Context, users []presence.User, answers chan<- presence.Answer) error {
			answers <- answer(presence.Online, users[0])
			<-hang
			answers <- answer(presence.Online, users[1:]...)
			return nil
		})
		r := recorder(t, newList("a", "b"), z, b)
		overdue := func(want string) {
			t.Helper()
			synctest.Wait()
			err := r.Overdue(time.Now(), patience)
			if (err != nil) != (want != "") || err != nil && !strings.Contains(err.Error(), want) {
				t.Errorf("Overdue() = %v, want %q", err, want)
			}
		}
		overdue("") // nothing is due before it runs
		release := make(chan struct{})
		r.Ended = func(Report, error) { <-release }
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { _ = r.Run(ctx); close(done) }()
		overdue("")
		time.Sleep(patience)
		overdue("")
		time.Sleep(time.Second)
		overdue("the sweep has not moved for 21s")
		hang <- struct{}{} // it moves, and ends, long behind its due time
		overdue("")
		release <- struct{}{}
		overdue("")
		cancel()
		hang <- struct{}{} // the sweep that began at once
		release <- struct{}{}
		<-done

		// One that ended is followed by none.
		time.Sleep(patience)
		overdue("")
		time.Sleep(11 * time.Second)
		overdue("a sweep is overdue by")
	})
}

// A sweep that has just ended, over a due time long past, is not overdue before
// the next due time is known.
func TestNotOverdueBetweenTwoSweeps(t *testing.T) {
	now := time.Now()
	r := &Recorder{due: now.Add(-time.Hour), moved: now.Add(-time.Second)}
	if err := r.Overdue(now, time.Minute); err != nil {
		t.Errorf("Overdue() = %v, want nil", err)
	}
	if err := r.Overdue(now.Add(time.Minute), time.Minute); err == nil {
		t.Error("Overdue() = nil, a minute later")
	}
}

// While a commit runs, answers gather, and the next one takes them all, up to a
// bound.
func TestNaturalBatching(t *testing.T) {
	for _, c := range []struct {
		users, batch int
		want         []int // events of each commit
		gathered     []int // answered by then
	}{
		{21, 1, []int{1, 20}, []int{1, 21}},
		{12_000, 200, []int{200, commitAtMost, commitAtMost, 1800}, []int{200, 5200, 10_200, 12_000}},
	} {
		synctest.Test(t, func(t *testing.T) {
			b := newBook()
			blocked, release := make(chan struct{}), make(chan struct{})
			b.fault = func(call string) (bool, error) {
				if call == "commit" && b.count("commit") == 0 {
					close(blocked)
					<-release
				}
				return true, nil
			}
			z := everybody(presence.Online)
			z.batch = c.batch
			answer := z.answer
			z.answer = func(ctx context.Context, batch []presence.User) (presence.Answer, error) {
				if z.asked.Requests == 2 {
					<-blocked
				}
				return answer(ctx, batch)
			}
			r := recorder(t, newList(names(c.users)...), z, b)
			var took []time.Duration
			var gathered []int
			seen := 0
			r.Progress = func(r Report) { seen = r.Seen }
			r.Committed = func(_ presence.Changes, d time.Duration) {
				took, gathered = append(took, d), append(gathered, seen)
			}
			done := make(chan Report)
			go func() {
				report, err := r.Sweep(t.Context())
				if err != nil {
					t.Error(err)
				}
				done <- report
			}()
			<-blocked
			time.Sleep(3 * time.Second)
			synctest.Wait()
			close(release)
			report := <-done
			whole(t, report, b)
			var got []int
			for _, c := range b.commits {
				got = append(got, len(c.Transitions))
			}
			if !slices.Equal(got, c.want) || len(took) != len(got) || took[0] != 3*time.Second {
				t.Errorf("commits of %v events, taking %v; want %v, the first 3s", got, took, c.want)
			}
			if !slices.Equal(gathered, c.gathered) {
				t.Errorf("answered at each commit: %v, want %v", gathered, c.gathered)
			}
		})
	}
}

func TestOneLineASweep(t *testing.T) {
	var lines bytes.Buffer
	b, l := newBook(), newList("a")
	r := recorder(t, l, everybody(presence.Online), b)
	r.Log = zerolog.New(&lines)
	mustSweep(t, r, b)
	l.fails = 0
	_, _ = r.Sweep(t.Context())
	got := strings.Split(strings.TrimSpace(lines.String()), "\n")
	if len(got) != 2 || !strings.Contains(got[0], `"level":"info","sweep":1,"watched":1,"seen":1`) || !strings.Contains(got[1], `"level":"warn","error":"a fault"`) {
		t.Errorf("lines %q, want info, then warn", got)
	}
}
