package poll

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zim-presence/poller/presence"
)

// Whoever is hinted to have gone mostly has: they are no sample of everybody, and make no
// incident. They are told at once, also where a request is about few.
func TestHintedAreNoIncident(t *testing.T) {
	for _, atOnce := range []int{100, 25} {
		synctest.Test(t, func(t *testing.T) {
			e, ids := newEar(), names(1000)
			var incidents []Incident
			l := live(t, newBook(), newTown(takes, ids...), "@every 1h", func(r *Recorder) {
				e.listen(r)
				r.MaxOfflineShare = 0.3
				r.Incident = func(i Incident) { incidents = append(incidents, i) }
				r.Zim = inParts{r.Zim, atOnce}
			})
			l.until(10 * time.Minute)
			gone := ids[:150]
			l.town.set(presence.Offline, gone...)
			e.put(t, false, gone...)
			l.until(10*time.Minute + 5*time.Second)
			if n := len(l.told(1000)); n != len(gone) || len(incidents) > 0 || len(e.gains()) != len(gone) {
				t.Errorf("%d at once: %d told, incidents %+v, sooner %d times; want %d told", atOnce, n, incidents, len(e.gains()), len(gone))
			}
			_ = l.stop()
		})
	}
}

// When ZIM calls everybody offline, the users of hints are not told to be so: others who
// were asked along say what it is.
func TestHintedAreNotBelievedInAnIncident(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, ids := newEar(), names(1000)
		var incidents []Incident
		l := live(t, newBook(), newTown(takes, ids...), "@every 1h", func(r *Recorder) {
			e.listen(r)
			r.MaxOfflineShare = 0.3
			r.Incident = func(i Incident) { incidents = append(incidents, i) }
		})
		l.until(10 * time.Minute)
		l.town.set(presence.Offline, ids...) // as it answers for ten seconds
		e.put(t, true, ids[:20]...)
		e.put(t, false, ids[20:60]...)
		l.until(10*time.Minute + 10*time.Second)
		l.town.set(presence.Online, ids...)
		l.until(12 * time.Minute)
		if told := l.told(1000); len(told) > 0 {
			t.Errorf("%d told, such as %v; want nobody", len(told), told[0])
		}
		if len(incidents) != 2 || incidents[1].Released {
			t.Errorf("incidents %+v, want one that is discarded", incidents)
		}
		_ = l.stop()
	})
}

// Where so many are hinted at that hardly anybody is left to judge the answers by, they
// are judged by all: a ZIM that calls everybody offline, and says so by callbacks too, is
// believed no more than without them. Nor does it matter how few one request is about.
func TestHintsAboutEverybodyAreDoubted(t *testing.T) {
	for _, c := range []struct{ users, atOnce int }{{1000, 100}, {300, 100}, {60, 100}, {50, 100}, {1000, 50}, {300, 20}} {
		synctest.Test(t, func(t *testing.T) {
			e, ids := newEar(), names(c.users)
			var incidents []Incident
			l := live(t, newBook(), newTown(takes, ids...), "@every 1h", func(r *Recorder) {
				e.listen(r)
				r.MaxOfflineShare = 0.3
				r.Incident = func(i Incident) { incidents = append(incidents, i) }
				r.Zim = inParts{r.Zim, c.atOnce}
			})
			l.until(10 * time.Minute)
			l.town.set(presence.Offline, ids...) // as it answers for ten seconds
			e.put(t, false, ids...)
			l.until(10*time.Minute + 10*time.Second)
			l.town.set(presence.Online, ids...)
			l.until(12 * time.Minute)
			if told := l.told(c.users); len(told) > 0 {
				t.Errorf("%d of %d told, such as %v; want nobody", len(told), c.users, told[0])
			}
			if len(incidents) != 2 || incidents[1].Released {
				t.Errorf("incidents %+v, want one that is discarded", incidents)
			}
			_ = l.stop()
		})
	}
}

// The users of hints do not fill requests by themselves, where these are small.
func TestHintedInSmallRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, ids := newEar(), names(1000)
		var incidents []Incident
		l := live(t, newBook(), newTown(takes, ids...), "@every 1h", func(r *Recorder) {
			e.listen(r)
			r.MaxOfflineShare = 0.3
			r.Incident = func(i Incident) { incidents = append(incidents, i) }
			r.Zim = inParts{r.Zim, 50}
		})
		l.until(10 * time.Minute)
		l.town.set(presence.Offline, ids...)
		e.put(t, false, ids[:50]...)
		l.until(10*time.Minute + 10*time.Second)
		l.town.set(presence.Online, ids...)
		l.until(12 * time.Minute)
		if told := l.told(1000); len(told) > 0 || len(incidents) != 2 {
			t.Errorf("%d told, incidents %+v; want nobody, and one that is discarded", len(told), incidents)
		}
		_ = l.stop()
	})
}

// inParts asks again about few users at a time, as with a small batch_size.
type inParts struct {
	Asker
	atOnce int
}

// Confirm asks.
func (p inParts) Confirm(ctx context.Context, users []presence.User, answers chan<- presence.Answer) (all Asked, err error) {
	for part := range slices.Chunk(users, p.atOnce) {
		asked, err := p.Asker.Confirm(ctx, part, answers)
		all.Requests += asked.Requests
		if err != nil {
			return all, err
		}
	}
	return all, nil
}
