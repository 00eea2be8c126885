package poll

import (
	"bytes"
	"context"
	"errors"
	"iter"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"github.com/zim-presence/poller/internal/diff"
	"github.com/zim-presence/poller/presence"
)

// crowd is an asker of whom tests say who is told to be offline, by the sweep and
// by asking again. A request takes 100 ms.
type crowd struct {
	asker
	sweeps, again func(u presence.User) bool
	slow          time.Duration // more that a sweep takes
	failure       error         // that it reports
}

// Ask is that of the asker.
func (c *crowd) Ask(ctx context.Context, users iter.Seq[presence.User], answers chan<- presence.Answer) (Asked, error) {
	select {
	case <-time.After(c.slow):
	case <-ctx.Done():
		return Asked{}, context.Cause(ctx)
	}
	asked, err := c.asker.Ask(ctx, users, answers)
	asked.Failure = c.failure
	return asked, err
}

func newCrowd() *crowd {
	c := &crowd{}
	reply := func(offline *func(presence.User) bool) func(context.Context, []presence.User) (presence.Answer, error) {
		return func(ctx context.Context, batch []presence.User) (presence.Answer, error) {
			asked := presence.Instant(time.Now())
			select {
			case <-time.After(100 * time.Millisecond):
			case <-ctx.Done():
				return presence.Answer{}, context.Cause(ctx)
			}
			a := presence.Answer{AskedAt: asked, At: presence.Instant(time.Now())}
			for _, u := range batch {
				status := presence.Online
				if (*offline)(u) {
					status = presence.Offline
				}
				a.Observations = append(a.Observations, observation(u, status))
			}
			return a, nil
		}
	}
	nobody := func(presence.User) bool { return false }
	c.sweeps, c.again = nobody, nobody
	c.batch, c.answer, c.confirm = 100, reply(&c.sweeps), reply(&c.again)
	return c
}

// most are the users up to a number.
func most(no uint32) func(presence.User) bool {
	return func(u presence.User) bool { return u.No <= no }
}

// doubter is a recorder that does not believe everything, and what it reports.
type doubter struct {
	*Recorder
	book       *book
	log        bytes.Buffer
	begun      []Incident
	incidents  []Incident
	gated      []int
	suppressed map[diff.Why]int
}

func newDoubter(t *testing.T, z Asker, users int) *doubter {
	d := &doubter{book: newBook(), suppressed: map[diff.Why]int{}}
	d.Recorder = recorder(t, newList(names(users)...), z, d.book)
	d.MaxOfflineShare, d.Log = .3, zerolog.New(&d.log)
	d.Incident = func(i Incident) {
		if i.Ended.IsZero() {
			d.begun = append(d.begun, i)
			return
		}
		d.incidents = append(d.incidents, i)
	}
	d.Gated = func(n int) { d.gated = append(d.gated, n) }
	d.Suppressed = func(s diff.Suppressed) { d.suppressed[s.Why]++ }
	return d
}

// reports wants one incident, a line at its beginning and at its end, and nobody to
// be gated any more.
func (d *doubter) reports(t *testing.T, released bool) {
	t.Helper()
	if len(d.incidents) != 1 || d.incidents[0].Released != released || d.gated[len(d.gated)-1] != 0 {
		t.Errorf("incidents %+v, gated %v; want one, released %t, and nobody gated in the end", d.incidents, d.gated, released)
	}
	if i := d.incidents[0]; len(d.begun) != 1 || d.begun[0] != (Incident{Number: 1, Began: i.Began, Flips: i.Flips, Share: i.Share}) {
		t.Errorf("begun are %+v, want the one that ended", d.begun)
	}
	if warnings := strings.Count(d.log.String(), `"level":"warn"`); warnings != 2 || strings.Count(d.log.String(), `"outcome"`) != 1 {
		t.Errorf("%d warnings, want 2:\n%s", warnings, d.log.String())
	}
}

// A fault that calls everybody offline in four requests of ten brings no event.
func TestFaultIsNotTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z := newCrowd()
		d := newDoubter(t, z, 1000)
		mustSweep(t, d.Recorder, d.book)
		z.sweeps = most(400)
		report := mustSweep(t, d.Recorder, d.book)
		d.reports(t, false)
		if report.Transitions != 0 || report.Seen+report.Missed[presence.MissImplausible] != 1000 || report.Missed[presence.MissImplausible] < 300 || !report.Complete {
			t.Errorf("report %+v; want no event, and who was not believed missed", report)
		}
		if s := d.book.snapshots[1]; len(s.Missed) != report.MissedTotal() || len(numbers(t, s.Online)) != 1000 {
			t.Errorf("snapshot with %d missed, %d online; want all online", len(s.Missed), len(numbers(t, s.Online)))
		}
		if took := report.Finished.Sub(report.Started); took > 4*time.Second {
			t.Errorf("the sweep lasted %s", took)
		}
		// Who was asked again and is online was suppressed as the others were.
		if d.suppressed[diff.Implausible] != 400 || len(d.suppressed) != 1 {
			t.Errorf("suppressed %v, want 400 by the incident", d.suppressed)
		}
	})
}

// Where few are online, an answer may have less than ten flips. While it is asked
// again they are not believed either, and nobody is told offline.
func TestFaultIsNotToldWhereFewAreOnline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z := newCrowd()
		// Fifteen of a hundred are online, and of every fifth hundred five.
		truth := func(u presence.User) bool { return u.No%100 >= 15 || u.No/100%5 == 4 && u.No%100 >= 5 }
		z.sweeps, z.again = truth, truth
		d := newDoubter(t, z, 3000)
		mustSweep(t, d.Recorder, d.book)
		z.sweeps = func(presence.User) bool { return true }
		if report := mustSweep(t, d.Recorder, d.book); report.Transitions != 0 || report.Missed[presence.MissImplausible] < 250 {
			t.Errorf("report %+v; want no event", report)
		}
		for _, i := range d.incidents {
			if i.Released {
				t.Errorf("incident %+v, want it discarded", i)
			}
		}
	})
}

// A fault in two answers of five is as nonsense in the last answers of a sweep as in
// the first, though they are too few for an incident by themselves.
func TestTheEndOfAFaultIsNotTold(t *testing.T) {
	for _, users := range []int{4600, 4700, 5100, 5600} {
		synctest.Test(t, func(t *testing.T) {
			z := newCrowd()
			truth := func(u presence.User) bool { return u.No%100 >= 15 }
			z.sweeps, z.again = truth, truth
			d := newDoubter(t, z, users)
			mustSweep(t, d.Recorder, d.book)
			z.sweeps = func(u presence.User) bool { return truth(u) || (u.No-1)/100%5 < 2 }
			if report := mustSweep(t, d.Recorder, d.book); report.Transitions != 0 || len(d.incidents) < 2 {
				t.Errorf("%d users: %d events, %d incidents; want none, and 2 at the least", users, report.Transitions, len(d.incidents))
			}
		})
	}
}

// Many who log out at once are told, some seconds later, as of when they were seen.
func TestLogoutOfManyIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z := newCrowd()
		d := newDoubter(t, z, 1000)
		mustSweep(t, d.Recorder, d.book)
		z.sweeps = most(400)
		z.again = z.sweeps
		report := mustSweep(t, d.Recorder, d.book)
		d.reports(t, true)
		if report.Transitions != 400 || report.Seen != 1000 || report.MissedTotal() != 0 {
			t.Errorf("report %+v, want 400 events", report)
		}
		i := d.incidents[0]
		for _, e := range d.book.events[1000:] {
			if e.Kind != presence.KindOffline || !e.ConfirmedAt.Equal(i.Ended) || e.ObservedAt.Before(i.Began) || e.ConfirmedAt.Sub(e.ObservedAt) > 3*time.Second {
				t.Fatalf("event %+v of incident %+v", e, i)
			}
		}
	})
}

// When everybody is offline it takes until patience is over; the sweep shows signs
// of life, and the events are told.
func TestEverybodyLogsOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z := newCrowd()
		d := newDoubter(t, z, 300)
		d.Patience = 5 * time.Minute
		mustSweep(t, d.Recorder, d.book)
		z.sweeps = most(1 << 31)
		z.again = z.sweeps
		ended := make(chan Report)
		go func() {
			report, _ := d.Sweep(t.Context())
			ended <- report
		}()
		for {
			select {
			case report := <-ended:
				if took := report.Finished.Sub(report.Started); took < d.Patience || took > d.Patience+3*time.Second || report.Transitions != 300 {
					t.Errorf("%d events after %s", report.Transitions, took)
				}
				d.reports(t, true)
				return
			case <-time.After(time.Second):
				if err := d.Overdue(time.Now(), 15*time.Second); err != nil {
					t.Fatal(err)
				}
			}
		}
	})
}

// A fault that is over when patience is was one: what was answered before is not told,
// and the last round asks a ZIM that is well again.
func TestFaultThatEndsBeforePatience(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z := newCrowd()
		d := newDoubter(t, z, 165)
		mustSweep(t, d.Recorder, d.book)
		began := time.Now()
		everybody := func(presence.User) bool { return time.Since(began) < 26*time.Second }
		z.sweeps, z.again = everybody, everybody
		if report := mustSweep(t, d.Recorder, d.book); report.Transitions != 0 || report.Missed[presence.MissImplausible] != 115 {
			t.Errorf("report %+v; want no event, and missed who was not asked in the end", report)
		}
		d.reports(t, false)
		if i := d.incidents[0]; i.Rounds != 6 || i.SampleAnswered != 50 || i.SampleOffline != 0 || i.Ended.Sub(i.Began) < 32*time.Second {
			t.Errorf("incident %+v, want 6 rounds, the last of them when patience was over", i)
		}
	})
}

// Whose newest answer is discarded is as old again as the one before it, and stale at
// once, also where the sweep ends early.
func TestStaleBehindAnIncident(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z := newCrowd()
		d := newDoubter(t, z, 100)
		d.StaleAfter = 3 * time.Minute
		d.Schedule, _ = ParseSchedule("@every 170s")
		began := time.Now()
		reply := z.answer
		z.answer = func(ctx context.Context, batch []presence.User) (presence.Answer, error) {
			if z.calls > 1 && batch[0].No > 60 {
				return presence.Answer{}, errFault
			}
			return reply(ctx, batch)
		}
		z.batch = 60
		everybody := func(presence.User) bool {
			return time.Since(began) > time.Second && time.Since(began) < 200*time.Second
		}
		z.sweeps, z.again = everybody, everybody
		ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
		defer cancel()
		_ = d.Run(ctx)
		stale := 0
		for _, e := range d.book.events[100:] {
			if late := e.ObservedAt.Sub(began); e.Kind == presence.KindStale && late < 205*time.Second {
				stale++
			} else if e.Kind != presence.KindStale {
				t.Errorf("event %+v", e)
			}
		}
		if len(d.incidents) != 1 || d.incidents[0].Released || stale != 50 {
			t.Errorf("%d are stale when it is decided, want the 50 who were not in the last sample; incidents %+v", stale, d.incidents)
		}
	})
}

// Where everybody who is gated goes stale, there is nothing left to decide, and nobody
// to wait for.
func TestAllGatedGoStale(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z := newCrowd()
		d := newDoubter(t, z, 100)
		d.StaleAfter, d.Patience = 20*time.Second, 5*time.Minute
		mustSweep(t, d.Recorder, d.book)
		z.sweeps = most(1 << 31)
		z.confirm = func(ctx context.Context, _ []presence.User) (presence.Answer, error) {
			<-ctx.Done()
			return presence.Answer{}, context.Cause(ctx)
		}
		mustSweep(t, d.Recorder, d.book)
		last := d.book.events[len(d.book.events)-1]
		if last.Kind != presence.KindStale || len(d.book.events) != 200 || len(d.incidents) != 1 || !d.incidents[0].Ended.Equal(last.ObservedAt) {
			t.Errorf("%d events, the last %+v, incidents %+v; want 100 stale, and one that ended with it", len(d.book.events), last, d.incidents)
		}
	})
}

// A ZIM that cannot be asked when patience is over has nobody told offline.
func TestNobodyAnswersTheLastRound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z := newCrowd()
		d := newDoubter(t, z, 300)
		mustSweep(t, d.Recorder, d.book)
		z.sweeps = most(1 << 31)
		z.again = z.sweeps
		began, confirm := time.Now(), z.confirm
		z.confirm = func(ctx context.Context, batch []presence.User) (presence.Answer, error) {
			if time.Since(began) > 26*time.Second {
				<-ctx.Done()
				return presence.Answer{}, context.Cause(ctx)
			}
			return confirm(ctx, batch)
		}
		report := mustSweep(t, d.Recorder, d.book)
		d.reports(t, false)
		if took := report.Finished.Sub(report.Started); report.Transitions != 0 || took > defaultPatience+windowLength+lastWait+time.Second {
			t.Errorf("%d events after %s, want none", report.Transitions, took)
		}
	})
}

// When the term ends first, nothing of it is told, stored or reported.
func TestTermEndsWhileGated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, after := range []time.Duration{time.Second, 2250 * time.Millisecond, 10 * time.Second} {
			z := newCrowd()
			d := newDoubter(t, z, 100)
			mustSweep(t, d.Recorder, d.book)
			z.sweeps = most(1 << 31)
			z.again = z.sweeps
			ctx, cancel := context.WithTimeout(t.Context(), after)
			calls := len(d.book.calls)
			report, err := d.Sweep(ctx)
			cancel()
			if !errors.Is(err, context.DeadlineExceeded) || report.Complete || report.Seen != 0 || report.MissedTotal() != 100 || len(d.book.calls) != calls {
				t.Errorf("after %s: %+v, %v, calls %v; want nothing seen and nothing written", after, report, err, d.book.calls[calls:])
			}
			if len(d.incidents) != 0 || len(d.suppressed) != 0 || !slices.Equal(d.gated, []int{100, 0}) {
				t.Errorf("after %s: incidents %+v, suppressed %v, gated %v", after, d.incidents, d.suppressed, d.gated)
			}
		}
	})
}

// Few who go are told at once, and many who had been told offline are no news.
func TestOrdinaryChangesAreNotDoubted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z := newCrowd()
		d := newDoubter(t, z, 100)
		z.sweeps = most(60)
		mustSweep(t, d.Recorder, d.book)
		z.sweeps = most(71) // 11 of 40
		report := mustSweep(t, d.Recorder, d.book)
		if report.Transitions != 11 || len(d.gated) != 0 || !report.Finished.Equal(report.Started.Add(100*time.Millisecond)) {
			t.Errorf("report %+v, gated %v; want 11 events at once", report, d.gated)
		}
		for _, e := range d.book.events {
			if !e.ConfirmedAt.IsZero() {
				t.Errorf("event %+v", e)
			}
		}
	})
}

// A sweep that lasts too long says why: it waited for an incident, or ZIM did not
// answer, or there is too much to ask.
func TestWhySweepsAreSkipped(t *testing.T) {
	for cause, play := range map[string]func(z *crowd){
		"incident": func(z *crowd) { z.sweeps, z.again = most(1<<31), most(1<<31) },
		"budget":   func(z *crowd) { z.slow = 31 * time.Second },
		"outage":   func(z *crowd) { z.slow, z.failure = 31*time.Second, errFault },
	} {
		synctest.Test(t, func(t *testing.T) {
			z := newCrowd()
			d := newDoubter(t, z, 100)
			mustSweep(t, d.Recorder, d.book)
			play(z)
			ctx, cancel := context.WithTimeout(t.Context(), 40*time.Second)
			defer cancel()
			_ = d.Run(ctx)
			if log := d.log.String(); strings.Count(log, `"skipped":2,"cause":"`+cause+`"`) != 1 || strings.Count(log, `"cause":"`) > 2 {
				t.Errorf("of %s:\n%s", cause, log)
			}
		})
	}
}

// Most of what was skipped decides.
func TestCause(t *testing.T) {
	for _, c := range []struct {
		skipped, without int
		failure, err     error
		want             string
	}{
		{3, 0, nil, nil, "incident"}, {3, 1, errFault, nil, "incident"}, {3, 2, nil, nil, "budget"}, {2, 1, nil, nil, "budget"},
		{3, 3, errFault, nil, "outage"}, {3, 3, nil, errFault, "outage"},
	} {
		if got := cause(c.skipped, c.without, c.failure, c.err); got != c.want {
			t.Errorf("%d skipped, %d without waiting, %v, %v: %s, want %s", c.skipped, c.without, c.failure, c.err, got, c.want)
		}
	}
}
