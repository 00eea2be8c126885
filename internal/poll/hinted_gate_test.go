package poll

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/zim-presence/poller/presence"
)

// Whoever is hinted to have gone mostly has: they are no sample of everybody, and make no
// incident. They are told at once.
func TestHintedAreNoIncident(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, ids := newEar(), names(1000)
		var incidents []Incident
		l := live(t, newBook(), newTown(takes, ids...), "@every 1h", func(r *Recorder) {
			e.listen(r)
			r.MaxOfflineShare = 0.3
			r.Incident = func(i Incident) { incidents = append(incidents, i) }
		})
		l.until(10 * time.Minute)
		gone := ids[:150]
		l.town.set(presence.Offline, gone...)
		e.put(t, false, gone...)
		l.until(10*time.Minute + 2*time.Second)
		if n := len(l.told(1000)); n != len(gone) || len(incidents) > 0 || len(e.gains()) != len(gone) {
			t.Errorf("%d told, incidents %+v, sooner %d times; want %d told at once", n, incidents, len(e.gains()), len(gone))
		}
		_ = l.stop()
	})
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
