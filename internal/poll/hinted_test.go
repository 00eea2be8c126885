package poll

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zim-presence/poller/presence"
)

// So many are asked about for hints, and no more.
func TestHintedAreBounded(t *testing.T) {
	h, now := newHinted(), time.Unix(0, 0)
	for no := range uint32(mostHints) {
		if became := h.hint(presence.User{No: no}, true, now); became != HintTaken {
			t.Fatalf("hint %d is %s", no, became)
		}
	}
	if became := h.hint(presence.User{No: mostHints}, true, now); became != HintFull {
		t.Errorf("one too many is %s", became)
	}
	if became := h.hint(presence.User{No: 7}, true, now); became != HintDoubled {
		t.Errorf("one who is asked about is %s", became)
	}
	users := h.take(now, confirmAtOnce)
	for _, u := range users {
		h.hear(presence.Observation{User: u, Status: presence.Online})
	}
	h.looked(users, now)
	if became := h.hint(presence.User{No: mostHints}, true, now); became != HintTaken {
		t.Errorf("where there is room again it is %s", became)
	}
}

// The opposite of a hint has the user asked about afresh, a second later and not at once.
func TestHintOfTheOpposite(t *testing.T) {
	h, now, u := newHinted(), time.Unix(0, 0), presence.User{No: 1}
	look := func(at time.Duration, status presence.Status) {
		t.Helper()
		if got := h.take(now.Add(at), 1); len(got) != 1 {
			t.Fatalf("nobody is due at %s", at)
		}
		h.hear(presence.Observation{User: u, Status: status})
		h.looked([]presence.User{u}, now.Add(at))
	}
	due := func(want time.Duration) {
		t.Helper()
		if at, ok := h.next(); !ok || !at.Equal(now.Add(want)) {
			t.Errorf("due at %s, %t; want %s", at.Sub(now), ok, want)
		}
	}
	h.hint(u, false, now)
	look(0, presence.Online)
	due(secondLook)
	h.hint(u, true, now.Add(500*time.Millisecond))
	due(500*time.Millisecond + betweenLooks)
	h.take(now.Add(2*time.Second), 1)
	h.hint(u, false, now.Add(2*time.Second)) // while it is asked about
	h.hear(presence.Observation{User: u, Status: presence.Online})
	h.looked([]presence.User{u}, now.Add(2*time.Second))
	due(2*time.Second + betweenLooks)
	look(4*time.Second, presence.Offline)
	if at, ok := h.next(); ok {
		t.Errorf("due at %s, though it is as hinted", at)
	}
}

// An answer to a sweep that was asked for before a hint's, and comes behind it, is
// overtaken: nobody is told to be back.
func TestHintOvertakesTheSweep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, town := newEar(), newTown(takes, "a", "b")
		slow := &asker{batch: 100, answer: func(ctx context.Context, users []presence.User) (presence.Answer, error) {
			a, err := town.answer(ctx, users)
			time.Sleep(5 * time.Second) // on its way
			return a, err
		}, confirm: town.answer}
		l := live(t, newBook(), town, "@every 1h", func(r *Recorder) {
			e.listen(r)
			r.Zim = slow
		})
		l.until(time.Hour + time.Second) // the sweep has looked, and not been heard
		town.set(presence.Offline, "a")
		e.put(t, false, "a")
		l.until(time.Hour + time.Minute)
		if told := l.told(2); len(told) != 1 || told[0].To != presence.Offline {
			t.Errorf("told %v, want that a has gone", told)
		}
		_ = l.stop()
	})
}
