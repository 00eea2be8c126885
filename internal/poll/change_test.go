package poll

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zim-presence/poller/internal/diff"
	"github.com/zim-presence/poller/presence"
)

// changing gives a term a way to be changed.
func changing(changes chan Settings, also func(*Recorder)) func(*Recorder) {
	return func(r *Recorder) {
		r.Change = changes
		also(r)
	}
}

// settings are those that the term has, for a change of some.
func (l *life) settings(change func(*Settings)) Settings {
	s := Settings{l.r.Schedule, l.r.AllowSuddenDrop, l.r.Hold, l.r.StaleAfter, l.r.MaxOfflineShare, l.r.Patience}
	change(&s)
	return s
}

func nothingElse(*Recorder) {}

// sweeps are when sweeps began, in seconds since the term did.
func (l *life) sweeps() (began []string) {
	for _, s := range l.book.snapshots {
		began = append(began, fmt.Sprint(s.Started.Sub(l.began).Round(time.Second)))
	}
	return began
}

// A new schedule counts from the last due time on, or from now where that would have
// been due already; nothing is skipped or comes twice for it.
func TestScheduleChanges(t *testing.T) {
	for _, c := range []struct {
		from, to string
		takes    time.Duration
		at       time.Duration
		until    time.Duration
		want     []string
		skipped  int // by sweeps that last longer than the new schedule
	}{
		{"@every 1m", "@every 2m", takes, 90 * time.Second, 310 * time.Second, []string{"0s", "1m0s", "3m0s", "5m0s"}, 0},
		{"@every 1m", "@every 40s", takes, 90 * time.Second, 150 * time.Second, []string{"0s", "1m0s", "1m40s", "2m20s"}, 0},
		{"@every 1h", "@every 1m", takes, 30 * time.Minute, 32*time.Minute + time.Second, []string{"0s", "31m0s", "32m0s"}, 0},
		{"@every 1m", "@every 1h", takes, 90 * time.Second, 62 * time.Minute, []string{"0s", "1m0s", "1h1m0s"}, 0},
		{"@every 1m", "0 * * * *", takes, 90 * time.Second, 121 * time.Minute, []string{"0s", "1m0s", "1h0m0s", "2h0m0s"}, 0},
		// While a sweep runs that lasts for 40 s.
		{"@every 1m", "@every 50s", 40 * time.Second, 70 * time.Second, 170 * time.Second, []string{"0s", "1m0s", "1m50s", "2m40s"}, 0},
		{"@every 1m", "@every 10s", 40 * time.Second, 95 * time.Second, 130 * time.Second, []string{"0s", "1m0s", "1m45s"}, 3},
		{"@every 1m", "@every 30s", 40 * time.Second, 70 * time.Second, 130 * time.Second, []string{"0s", "1m0s", "1m40s"}, 0},
	} {
		synctest.Test(t, func(t *testing.T) {
			changes, skipped := make(chan Settings, 1), 0
			u := newTown(c.takes, "a")
			l := live(t, newBook(), u, c.from, changing(changes, func(r *Recorder) {
				r.Skipped = func(n int) { skipped += n }
			}))
			l.until(c.at)
			schedule := parse(t, c.to)
			changes <- l.settings(func(s *Settings) { s.Schedule = schedule })
			l.until(c.at + time.Millisecond)
			l.until(c.until + c.takes)
			if got := l.sweeps(); !slices.Equal(got, c.want) {
				t.Errorf("%s, and %s after %s: sweeps at %v, want %v", c.from, c.to, c.at, got, c.want)
			}
			if skipped != c.skipped {
				t.Errorf("%s, and %s after %s: %d skipped, want %d", c.from, c.to, c.at, skipped, c.skipped)
			}
			_ = l.stop()
		})
	}
}

// What is held back goes by the new hold: told at once, as soon as it is confirmed,
// where that is over, and later where it is longer.
func TestHoldChanges(t *testing.T) {
	for _, c := range []struct{ hold, within, notBefore time.Duration }{
		{0, 12 * time.Second, 10 * time.Second},
		{5 * time.Second, 12 * time.Second, 10 * time.Second},
		{20 * time.Second, 22 * time.Second, 20 * time.Second},
		{50 * time.Second, 52 * time.Second, 50 * time.Second},
	} {
		synctest.Test(t, func(t *testing.T) {
			changes := make(chan Settings, 1)
			l := live(t, newBook(), newTown(takes, "a", "b"), "@every 1h", changing(changes, holding(30*time.Second)))
			l.until(time.Hour - time.Second)
			l.town.set(presence.Offline, "a")
			l.until(time.Hour + 10*time.Second)
			changes <- l.settings(func(s *Settings) { s.Hold.Offline = c.hold })
			l.until(time.Hour + c.notBefore)
			l.want(2)
			l.until(time.Hour + c.within)
			events := l.told(2)
			if len(events) != 1 || !events[0].ObservedAt.Equal(l.at(time.Hour+takes)) || len(l.book.held) != 0 {
				t.Errorf("hold %s: told %+v, held %v; want one, as it was seen, and none held", c.hold, events, l.book.held)
			}
			l.until(2*time.Hour + time.Minute)
			if n := len(l.told(2)); n != 1 || len(l.never) != 0 {
				t.Errorf("hold %s: told %d times, suppressed %v; want once", c.hold, n, l.never)
			}
			_ = l.stop()
		})
	}
}

// In the middle of a sweep a hold begins, and ends: who changed before is told at once,
// who changes meanwhile waits, and everybody is told once.
func TestHoldChangesDuringASweep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ids := names(3000) // 30 batches: 30 s
		changes := make(chan Settings, 1)
		l := live(t, newBook(), newTown(time.Second, ids...), "@every 1h", changing(changes, nothingElse))
		l.until(time.Hour - time.Second)
		l.town.set(presence.Offline, ids[0], ids[1500], ids[2900])
		l.until(time.Hour + 10*time.Second)
		changes <- l.settings(func(s *Settings) { s.Hold.Offline = 10 * time.Minute })
		l.until(time.Hour + 20*time.Second)
		if n := len(l.told(3000)); n != 1 || len(l.book.held) != 1 {
			t.Errorf("%d told, %d held; want one of each", n, len(l.book.held))
		}
		changes <- l.settings(func(s *Settings) { s.Hold = diff.Hold{} })
		l.until(time.Hour + 25*time.Second)
		if n := len(l.told(3000)); n != 2 || len(l.book.held) != 0 {
			t.Errorf("%d told, %d held; want two and none", n, len(l.book.held))
		}
		l.until(time.Hour + time.Minute)
		if n := len(l.told(3000)); n != 3 || l.swept.Requests != 30 || !l.swept.Complete {
			t.Errorf("%d told, report %+v; want three, and a sweep that went on", n, l.swept)
		}
		_ = l.stop()
	})
}

// Ages that begin to count leave the time to ask again; they cease to at once.
func TestStaleAfterChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		changes := make(chan Settings, 1)
		u := newTown(takes, "a", "b")
		l := live(t, newBook(), u, "@every 1m", changing(changes, func(r *Recorder) { r.Now = u.now }))
		l.until(30 * time.Second)
		l.town.set(presence.Unknown, "a")
		l.town.leap(time.Hour) // nobody heeds it while no ages count
		l.until(10*time.Minute + 30*time.Second)
		set := func(after time.Duration) {
			changes <- l.settings(func(s *Settings) { s.StaleAfter = after })
			synctest.Wait()
		}
		set(5 * time.Minute)
		l.until(15 * time.Minute)
		l.want(2)
		set(0)
		l.until(20 * time.Minute)
		l.want(2)
		set(5 * time.Minute)
		l.until(25*time.Minute + 40*time.Second)
		if events := l.told(2); len(events) != 1 || events[0].Kind != presence.KindStale {
			t.Fatalf("told %+v, want a stale", events)
		}
		l.town.set(presence.Unknown, "b")
		l.until(27*time.Minute + 10*time.Second)
		set(90 * time.Second)
		l.until(27*time.Minute + 12*time.Second)
		if events := l.told(3); len(events) != 1 || events[0].User.ID != "b" {
			t.Fatalf("told %+v, want b stale: a shorter time counts at once", events)
		}
		set(0)
		l.until(40 * time.Minute)
		l.want(4)
		if !l.book.users["a"].Stale || !l.book.users["b"].Stale {
			t.Error("who was stale is so no more, without an answer")
		}
		_ = l.stop()
	})
}

// Whatever is not believed when everything is to be: it is discarded, the incident ends
// with that, the sweep goes on, and what is true is told by the next one.
func TestPlausibilityEndsDuringAnIncident(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z := newCrowd()
		var saying sync.Mutex // guards all below
		var inSweeps, asked uint32
		said := func(of *uint32) func(presence.User) bool {
			return func(u presence.User) bool {
				saying.Lock()
				defer saying.Unlock()
				return u.No <= *of
			}
		}
		z.sweeps, z.again = said(&inSweeps), said(&asked)
		d := newDoubter(t, z, 1000)
		d.Patience, d.Schedule = 5*time.Minute, parse(t, "@every 1m")
		changes := make(chan Settings, 1)
		d.Change = changes
		l := &life{T: t, began: presence.Instant(time.Now()), book: d.book, r: d.Recorder}
		var reports []Report
		d.Ended = func(r Report, _ error) {
			saying.Lock()
			defer saying.Unlock()
			reports = append(reports, r)
		}
		swept := func() []Report {
			saying.Lock()
			defer saying.Unlock()
			return slices.Clone(reports)
		}
		ended := make(chan error, 1)
		ctx, cancel := context.WithCancel(t.Context())
		go func() { ended <- d.Run(ctx) }()
		l.until(30 * time.Second)
		say := func(sweeps, again uint32) {
			saying.Lock()
			defer saying.Unlock()
			inSweeps, asked = sweeps, again
		}
		say(1000, 1000) // everybody: nothing decides before the patience is over
		l.until(80 * time.Second)
		if len(d.begun) != 1 || len(d.incidents) != 0 || len(swept()) != 1 || d.gated[len(d.gated)-1] != 1000 {
			t.Fatalf("begun %+v, ended %+v, %d sweeps, gated %v; want an incident that lasts", d.begun, d.incidents, len(swept()), d.gated)
		}
		changes <- l.settings(func(s *Settings) { s.MaxOfflineShare = .5; s.Patience = 4 * time.Minute })
		l.until(90 * time.Second)
		if len(d.incidents) != 0 || len(swept()) != 1 {
			t.Errorf("ended %+v after another share, %d sweeps; want an incident that lasts", d.incidents, len(swept()))
		}
		changes <- l.settings(func(s *Settings) { s.MaxOfflineShare = 0 })
		l.until(100 * time.Second)
		d.reports(t, false)
		if len(l.told(1000)) != 0 || len(swept()) != 2 || swept()[1].Missed[presence.MissImplausible] != 1000 || d.suppressed[diff.Implausible] != 1000 {
			t.Errorf("%d told, reports %+v, suppressed %v; want none told, and all missed", len(l.told(1000)), swept(), d.suppressed)
		}
		l.until(140 * time.Second)
		if n := len(l.told(1000)); n != 1000 || len(d.incidents) != 1 {
			t.Errorf("%d told by the next sweep, want all", n)
		}
		say(0, 0)
		changes <- l.settings(func(s *Settings) { s.MaxOfflineShare = .3 })
		l.until(200 * time.Second)
		say(1000, 0)
		l.until(270 * time.Second)
		if len(d.incidents) != 2 || d.incidents[1].Released || len(l.told(1000)) != 2000 {
			t.Errorf("incidents %+v, %d told; want one more, discarded, and everybody told online before", d.incidents, len(l.told(1000)))
		}
		cancel()
		<-ended
	})
}

// What changes nothing does nothing, however often it comes.
func TestNothingChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		changes := make(chan Settings, 1)
		l := live(t, newBook(), newTown(takes, "a", "b"), "@every 1m", changing(changes, func(r *Recorder) {
			r.Hold.Offline, r.StaleAfter, r.MaxOfflineShare, r.Patience = 20*time.Second, 5*time.Minute, .3, 30*time.Second
		}))
		l.until(59 * time.Second)
		l.town.set(presence.Offline, "a")
		for i := range 200 {
			l.until(59*time.Second + time.Duration(i)*500*time.Millisecond)
			changes <- l.settings(func(*Settings) {})
		}
		seen := time.Minute + takes
		l.until(160 * time.Second)
		l.want(2, offline("a", l.at(0), l.at(seen), l.at(seen+20*time.Second+gatherFor+takes), 2))
		if got := l.sweeps(); !slices.Equal(got, []string{"0s", "1m0s", "2m0s"}) {
			t.Errorf("sweeps at %v", got)
		}
		_ = l.stop()
	})
}
