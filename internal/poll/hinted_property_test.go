package poll

import (
	"errors"
	"fmt"
	"maps"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/zim-presence/poller/internal/budget"
	"github.com/zim-presence/poller/internal/diff"
	"github.com/zim-presence/poller/presence"
)

// happening is something at a time: a change of the truth, or a hint, true or not.
type happening struct {
	at   time.Duration
	id   string
	to   presence.Status
	hint bool
}

// course is what happens to an app, from its first sweep on.
type course struct {
	users  int
	rate   float64
	hold   diff.Hold
	share  float64
	events []happening // in order
	ends   time.Duration
}

func drawCourse(t *rapid.T) course {
	c := course{
		users: rapid.IntRange(1, 300).Draw(t, "users"),
		rate:  rapid.SampledFrom([]float64{1, 5, 20}).Draw(t, "rate"),
		hold: diff.Hold{
			Offline: rapid.SampledFrom([]time.Duration{0, 0, 3 * time.Second}).Draw(t, "hold offline"),
			Online:  rapid.SampledFrom([]time.Duration{0, 0, 2 * time.Second}).Draw(t, "hold online"),
		},
		share: rapid.SampledFrom([]float64{0, 0, 0.3}).Draw(t, "share"),
	}
	at := time.Duration(0)
	for range rapid.IntRange(0, 60).Draw(t, "happenings") {
		at += time.Duration(rapid.IntRange(0, 1500).Draw(t, "pause")) * time.Millisecond
		h := happening{
			at: at, id: fmt.Sprintf("user-%d", rapid.IntRange(0, c.users).Draw(t, "user")), // one is not watched
			to:   rapid.SampledFrom([]presence.Status{presence.Online, presence.Offline}).Draw(t, "to"),
			hint: rapid.Bool().Draw(t, "hint"),
		}
		c.events = append(c.events, h)
		if !h.hint && rapid.Bool().Draw(t, "called back") {
			late := time.Duration(rapid.SampledFrom([]int{0, 10, 500, 3000}).Draw(t, "late")) * time.Millisecond
			at += late
			h.at, h.hint = at, true
			c.events = append(c.events, h)
			if rapid.Bool().Draw(t, "twice") {
				c.events = append(c.events, h)
			}
		}
	}
	c.ends = at + 70*time.Second
	return c
}

// outcome of a course.
type played struct {
	told   map[string]presence.Status
	events []presence.Transition
	most   int // requests in a second
	err    error
}

// play lets a course happen, with its hints or without.
func (c course) play(t *testing.T, hinted bool) (p played, truth map[string]presence.Status) {
	ids := names(c.users)
	r := &rationed{town: newTown(takes, ids...), limiter: budget.New(c.rate, nil)}
	e := newEar()
	l := live(t, newBook(), r.town, "@every 10s", func(rec *Recorder) {
		e.listen(rec)
		rec.Zim, rec.Rate = r, r.limiter.Rate
		rec.Hold, rec.MaxOfflineShare, rec.Patience = c.hold, c.share, 5*time.Second
	})
	history := map[string][]change{}
	for _, h := range c.events {
		time.Sleep(time.Until(l.began.Add(h.at)))
		switch {
		case !h.hint && r.town.says(h.id) != h.to && h.id != fmt.Sprintf("user-%d", c.users):
			r.town.set(h.to, h.id)
			history[h.id] = append(history[h.id], change{presence.Instant(time.Now()), h.to})
		case h.hint && hinted:
			if err := e.hints.Put(Hint{h.id, h.to == presence.Online}); err != nil && !errors.Is(err, ErrNotRecording) {
				p.err = err
			}
		}
	}
	time.Sleep(time.Until(l.began.Add(c.ends)))
	synctest.Wait()
	_ = l.stop()
	_, _, p.most = r.sent(l.began, l.began.Add(c.ends))
	if p.err == nil {
		p.err = l.book.broken
	}
	p.told, p.events = map[string]presence.Status{}, l.book.events
	for id, s := range l.book.users {
		p.told[id] = s.Status
	}
	if p.err == nil {
		p.err = trueEvents(p.events, history)
	}
	return p, maps.Clone(r.town.status)
}

// change is one of the truth.
type change struct {
	at time.Time
	to presence.Status
}

// trueEvents holds that each event says an interval in which the truth changed so.
func trueEvents(events []presence.Transition, history map[string][]change) error {
	for _, e := range events {
		if e.Kind != presence.KindOnline && e.Kind != presence.KindOffline {
			continue
		}
		happened := false
		for _, c := range history[e.User.ID] {
			happened = happened || c.to == e.To && c.at.After(e.After) && !c.at.After(e.ObservedAt)
		}
		if !happened {
			return fmt.Errorf("event %+v, but what happened is %v", e, history[e.User.ID])
		}
	}
	return nil
}

func (u *town) says(id string) presence.Status {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.status[id]
}

// Hints, true, late, doubled and forged, change nothing but when something is seen: in
// the end the same is told as without them, which is the truth; each event says an
// interval in which it happened; and no second holds more requests than allowed.
func TestHintsDecideNothing(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		c := drawCourse(rt)
		var plain, hinted played
		var truth map[string]presence.Status
		synctest.Test(t, func(t *testing.T) { plain, _ = c.play(t, false) })
		synctest.Test(t, func(t *testing.T) { hinted, truth = c.play(t, true) })
		for name, p := range map[string]played{"without hints": plain, "with hints": hinted} {
			if p.err != nil {
				rt.Fatalf("%s: %v", name, p.err)
			}
			if !maps.Equal(p.told, truth) {
				rt.Fatalf("%s told %v, the truth is %v", name, p.told, truth)
			}
			if p.most > int(c.rate) {
				rt.Fatalf("%s %d requests in a second, the limit is %v", name, p.most, c.rate)
			}
		}
	})
}
