package poll

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/zim-presence/poller/internal/diff"
	"github.com/zim-presence/poller/presence"
)

func aging(after time.Duration) func(*Recorder) {
	return func(r *Recorder) { r.StaleAfter = after }
}

func stale(id string, after, at time.Time, sweep int64) presence.Transition {
	return presence.Transition{User: presence.User{ID: id}, Kind: presence.KindStale, From: presence.Online, After: after, ObservedAt: at, Sweep: sweep}
}

// Who is not answered for too long is unknown, and that is told when it is so, also
// between two sweeps; the next answer is a baseline.
func TestStale(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := live(t, newBook(), newTown(takes, "a", "b"), "@every 1m", aging(90*time.Second))
		l.until(30 * time.Second)
		l.town.set(presence.Unknown, "a")
		l.until(90 * time.Second)
		l.want(2)
		l.until(99 * time.Second)
		events := l.told(2)
		if len(events) != 1 || events[0].ObservedAt.Before(l.at(90*time.Second)) {
			t.Fatalf("told %+v, want a stale", events)
		}
		l.want(2, stale("a", l.at(0), events[0].ObservedAt, 2))
		if s := l.book.users["a"]; !s.Stale || !s.Watched || s.Status != presence.Unknown || !s.Since.Equal(events[0].ObservedAt) {
			t.Errorf("state %+v, want stale", s)
		}
		l.until(170 * time.Second)
		l.want(3)
		l.town.set(presence.Offline, "a")
		l.until(200 * time.Second)
		l.want(3, presence.Transition{
			User: presence.User{ID: "a"}, Kind: presence.KindBaseline, To: presence.Offline, Detail: presence.Timeout,
			ObservedAt: l.at(180*time.Second + takes), Sweep: 4,
		})
		if s := l.book.users["a"]; s.Stale || s.Status != presence.Offline {
			t.Errorf("state %+v, want offline", s)
		}
		_ = l.stop()
	})
}

// A term does not tell of the age of what it found before it has asked, and a sweep
// that is over has told it before its snapshot.
func TestNobodyIsStaleBeforeTheFirstSweepHasAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ids := names(300)
		b, u := newBook(), newTown(time.Second, ids...)
		l := live(t, b, u, "@every 1h", aging(30*time.Second))
		l.until(10 * time.Second)
		_ = l.stop()

		time.Sleep(2 * time.Hour)
		u.set(presence.Unknown, ids[7])
		l = live(t, b, u, "@every 1h", aging(30*time.Second))
		l.until(2 * time.Second) // two of three batches are answered
		l.want(300)
		l.until(5 * time.Second)
		l.want(300, stale(ids[7], l.began.Add(-2*time.Hour-10*time.Second), l.at(3*time.Second), 2))
		if s := b.snapshots[1]; s.Seq != 301 || len(numbers(t, s.Known)) != 299 {
			t.Errorf("snapshot up to %d with %d known, want 301 and 299", s.Seq, len(numbers(t, s.Known)))
		}
		_ = l.stop()
	})
}

// A first sweep that hangs hides nobody's age for ever.
func TestStaleWhileTheFirstSweepHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, u := newBook(), newTown(takes, "a")
		l := live(t, b, u, "@every 1h", aging(30*time.Second))
		l.until(time.Second)
		_ = l.stop()
		time.Sleep(time.Hour)
		u.slow(time.Hour)
		l = live(t, b, u, "@every 1h", aging(30*time.Second))
		l.until(29 * time.Second)
		l.want(1)
		l.until(31 * time.Second)
		l.want(1, stale("a", l.began.Add(-time.Hour-time.Second), l.at(30*time.Second), 2))
		_ = l.stop()
	})
}

// What is held back goes with what is told when that is stale, and a stale user who
// leaves is removed from unknown.
func TestStaleWhileHeldAndRemoved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := live(t, newBook(), newTown(takes, "a"), "@every 10s", func(r *Recorder) {
			r.Hold.Offline, r.StaleAfter = 25*time.Second, 30*time.Second
		})
		l.until(5 * time.Second)
		l.town.set(presence.Offline, "a")
		l.until(15 * time.Second)
		l.town.set(presence.Unknown, "a")
		l.until(39 * time.Second) // the answer that is held back is an answer, too
		l.want(1)
		l.until(44 * time.Second)
		at := l.told(1)[0].ObservedAt
		l.want(1, stale("a", l.at(0), at, 5))
		if len(l.book.held) != 0 || len(l.never) != 1 || l.never[0].Why != diff.Stale {
			t.Errorf("held %v, suppressed %+v", l.book.held, l.never)
		}
		l.town.watch()
		l.until(55 * time.Second)
		l.want(2, presence.Transition{User: presence.User{ID: "a"}, Kind: presence.KindRemoved, After: at, ObservedAt: l.at(50 * time.Second), Sweep: 6})
		_ = l.stop()
	})
}

// A clock that is set forward makes nobody stale who is answered as often as ever.
func TestNobodyIsStaleByAClockSetForward(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ids := names(300)
		u := newTown(time.Second, ids...)
		l := live(t, newBook(), u, "@every 1m", func(r *Recorder) { r.StaleAfter, r.Now = 90*time.Second, u.now })
		l.until(30 * time.Second)
		u.leap(time.Hour)
		l.until(61*time.Second + 500*time.Millisecond) // one of three batches is answered
		u.leap(time.Hour)
		l.until(70 * time.Second)
		u.set(presence.Unknown, ids[7])
		l.until(150 * time.Second)
		if got := kinds(l.told(300)); len(got) != 0 {
			t.Fatalf("told %d events, the first %s", len(got), got[0])
		}
		l.until(170 * time.Second) // the age of who is not answered any more counts again
		if got := kinds(l.told(300)); len(got) != 1 || got[0] != ids[7]+" stale" {
			t.Errorf("told %d events, want one: %v", len(got), got)
		}
		_ = l.stop()
	})
}

// Who was not asked since the term began, for want of a watchlist, is not stale
// before there was the time to.
func TestNobodyIsStaleByASweepThatCouldNotAsk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, u := newBook(), newTown(takes, "a")
		l := live(t, b, u, "@every 10s", aging(30*time.Second))
		l.until(time.Second)
		_ = l.stop()
		time.Sleep(time.Hour)
		broken := newList("a")
		broken.fails = 0
		l = live(t, b, u, "@every 10s", func(r *Recorder) { r.StaleAfter, r.Watchlist = 30*time.Second, broken })
		l.until(29 * time.Second)
		l.want(1)
		l.until(31 * time.Second)
		l.want(1, stale("a", l.began.Add(-time.Hour-time.Second), l.at(30*time.Second), 1))
		_ = l.stop()
	})
}
