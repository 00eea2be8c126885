package poll

import (
	"context"
	"errors"
	"iter"
	"maps"
	"slices"
	"testing"

	"github.com/RoaringBitmap/roaring/v2"
	"pgregory.net/rapid"

	"github.com/zim-presence/poller/presence"
)

// said is what ZIM says of a user; the zero value is no answer.
type said struct {
	status presence.Status
	detail presence.Detail
}

var sayings = []said{{}, {presence.Online, presence.NoDetail}, {presence.Offline, presence.Timeout}, {presence.Offline, presence.NoSession}}

// oracle says what one sweep may do, from what was stored before it.
type oracle struct {
	kinds map[string]presence.Kind // of the event of each user who gets one
	after map[string]said          // state of everybody who is watched
}

func predict(before map[string]presence.State, watched []string, says map[string]said) oracle {
	o := oracle{map[string]presence.Kind{}, map[string]said{}}
	for id, s := range before {
		if s.Watched && !slices.Contains(watched, id) && s.Status != presence.Unknown {
			o.kinds[id] = presence.KindRemoved
		}
	}
	for _, id := range watched {
		was := said{}
		if s := before[id]; s.Watched {
			was = said{s.Status, s.Detail}
		}
		is := says[id]
		switch {
		case is.status == presence.Unknown:
			is = was
		case was.status == presence.Unknown:
			o.kinds[id] = presence.KindBaseline
		case was.status == presence.Offline && is.status == presence.Online:
			o.kinds[id] = presence.KindOnline
		case was.status == presence.Online && is.status == presence.Offline:
			o.kinds[id] = presence.KindOffline
		}
		o.after[id] = is
	}
	return o
}

// chance is an app to which sweeps happen.
type chance struct {
	*rapid.T
	book     *book
	list     *list
	recorder *Recorder
	says     map[string]said
	endsAt   int // answer at which the asking ends early; below 0 never
}

// Ask answers in batches of chance.
func (c *chance) Ask(_ context.Context, users iter.Seq[presence.User], answers chan<- presence.Answer) (Asked, error) {
	all := slices.Collect(users)
	for n := 0; len(all) > 0; n++ {
		if n == c.endsAt {
			return Asked{}, errFault
		}
		size := rapid.IntRange(1, len(all)).Draw(c.T, "batch")
		a := answer(presence.Unknown)
		for _, u := range all[:size] {
			if s := c.says[u.ID]; s.status == presence.Unknown {
				a.Missed = append(a.Missed, presence.Miss{User: u, Reason: presence.MissAbsent})
			} else {
				a.Observations = append(a.Observations, presence.Observation{User: u, Status: s.status, Detail: s.detail})
			}
		}
		all = all[size:]
		answers <- a
	}
	return Asked{}, nil
}

// Confirm is not asked: nothing is held back.
func (c *chance) Confirm(context.Context, []presence.User, chan<- presence.Answer) (Asked, error) {
	c.Error("somebody is asked again")
	return Asked{}, errFault
}

// draw decides what the next sweep will find and what fails in it.
func (c *chance) draw() {
	ids := names(8)
	c.list.ids = rapid.SliceOfNDistinct(rapid.SampledFrom(ids), 0, len(ids), rapid.ID).Draw(c.T, "watched")
	c.says = map[string]said{}
	for _, id := range c.list.ids {
		c.says[id] = rapid.SampledFrom(sayings).Draw(c.T, "says")
	}
	c.list.fails, c.endsAt = -1, -1
	c.book.fault = func(string) (bool, error) { return true, nil }
	switch rapid.IntRange(0, 9).Draw(c.T, "fault") {
	case 0:
		c.list.fails = rapid.IntRange(0, max(0, len(c.list.ids)-1)).Draw(c.T, "list ends")
	case 1:
		c.endsAt = rapid.IntRange(0, 2).Draw(c.T, "asking ends")
	case 2:
		at, applied := rapid.IntRange(0, 4).Draw(c.T, "call"), rapid.Bool().Draw(c.T, "done all the same")
		n := 0
		c.book.fault = func(string) (bool, error) {
			if n++; n == at {
				return applied, errFault
			}
			return true, nil
		}
	}
}

// sweep sweeps once and holds what was written to the oracle.
func (c *chance) sweep() {
	before, told := maps.Clone(c.book.users), len(c.book.events)
	c.draw()
	o := predict(before, c.list.ids, c.says)
	report, err := c.recorder.Sweep(c.Context())
	if c.book.broken != nil {
		c.Fatal(c.book.broken)
	}
	if report.Watched != report.Seen+report.MissedTotal() {
		c.Fatalf("%d watched, %d seen, %d missed", report.Watched, report.Seen, report.MissedTotal())
	}
	events := c.book.events[told:]
	seen := map[string]presence.Kind{}
	for _, e := range events {
		if kind, may := o.kinds[e.User.ID]; !may || kind != e.Kind || seen[e.User.ID] != 0 || e.Sweep != report.Sweep {
			c.Fatalf("event %+v, want of these one each: %v", e, o.kinds)
		}
		seen[e.User.ID] = e.Kind
	}
	if err == nil {
		if report.Transitions != len(o.kinds) || len(events) != len(o.kinds) {
			c.Fatalf("events %v, want %v", seen, o.kinds)
		}
		c.complete(o, report)
	}
	if errors.Is(err, ErrTermOver) {
		c.term()
	}
}

// complete checks what a complete sweep leaves behind.
func (c *chance) complete(o oracle, report Report) {
	online, known := roaring.New(), roaring.New()
	var missed []uint32
	for id, s := range c.book.users {
		is := said{s.Status, s.Detail}
		if want, watched := o.after[id]; watched != s.Watched || is != want {
			c.Fatalf("%+v, want watched %t and %v", s, watched, want)
		}
		if s.Status != presence.Unknown {
			known.Add(s.User.No)
		}
		if s.Status == presence.Online {
			online.Add(s.User.No)
		}
		if s.Watched && c.says[id].status == presence.Unknown {
			missed = append(missed, s.User.No)
		}
	}
	slices.Sort(missed)
	s := c.book.snapshots[len(c.book.snapshots)-1]
	if !online.Equals(bitmap(c.T, s.Online)) || !known.Equals(bitmap(c.T, s.Known)) || !slices.Equal(missed, s.Missed) ||
		s.Sweep != report.Sweep || s.Seq != c.book.lastSeq || !report.Complete {
		c.Fatalf("snapshot %+v, want online %v, known %v, missed %v", s, online, known, missed)
	}
}

// term begins a term as after the lease was won.
func (c *chance) term() {
	c.recorder = &Recorder{
		Watchlist: c.list, Zim: c, Ledger: c.book, Memory: c.book.memory(), LastSweep: c.book.lastSweep,
	}
}

func bitmap(t *rapid.T, b []byte) *roaring.Bitmap {
	m := roaring.New()
	if err := m.UnmarshalBinary(b); err != nil {
		t.Fatal(err)
	}
	return m
}

// Whatever is answered, missed, removed and added, and whatever fails: there is
// an event where the oracle says so and nowhere else, and the committed changes
// add up to what was last answered.
func TestCommittedChangesAreTheTruth(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := &chance{T: t, book: newBook(), list: newList()}
		c.term()
		for range rapid.IntRange(1, 12).Draw(t, "sweeps") {
			c.sweep()
		}
	})
}

// The parts are the whole, in order, none too large, and each user's state is in
// the part of its event.
func TestParts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const first = 100
		var c presence.Changes
		for i := range rapid.IntRange(0, 30).Draw(t, "transitions") {
			c.Transitions = append(c.Transitions, presence.Transition{Seq: int64(first + i), User: presence.User{No: uint32(i)}})
			c.States = append(c.States, presence.State{User: presence.User{No: uint32(i)}, LastSeq: int64(first + i)})
		}
		for i := range rapid.IntRange(0, 30).Draw(t, "states alone") {
			c.States = append(c.States, presence.State{User: presence.User{No: uint32(1000 + i)}, LastSeq: int64(i)})
		}
		c.States = rapid.Permutation(c.States).Draw(t, "states")
		c.Held = make([]presence.Held, rapid.IntRange(0, 50).Draw(t, "held"))
		for range rapid.IntRange(0, 50).Draw(t, "dropped") {
			c.Settled = append(c.Settled, uint32(2000+len(c.Settled)))
		}
		for i := range c.Transitions { // some of them told, or dropped by one
			if rapid.Bool().Draw(t, "settles") {
				c.Settled = append(c.Settled, uint32(i))
			}
		}
		c.Settled = rapid.Permutation(c.Settled).Draw(t, "settled")
		held, settled := len(c.Held), len(c.Settled)
		most, transitions, states, next := rapid.IntRange(1, 40).Draw(t, "most"), len(c.Transitions), len(c.States), int64(first)
		for part := range parts(c, most) {
			if held, settled = held-len(part.Held), settled-len(part.Settled); len(part.Held) > most || len(part.Settled) > most {
				t.Fatalf("a part of %d held and %d settled, the most is %d", len(part.Held), len(part.Settled), most)
			}
			if len(part.Held) > 0 && transitions > len(part.Transitions) {
				t.Fatalf("what is held comes before %d transitions", transitions-len(part.Transitions))
			}
			for _, no := range part.Settled {
				by := slices.ContainsFunc(part.Transitions, func(t presence.Transition) bool { return t.User.No == no })
				if no < 1000 && !by || no >= 1000 && transitions > len(part.Transitions) {
					t.Fatalf("%d is settled in a part without its transition, or before the last", no)
				}
			}
			if part.Empty() || len(part.Transitions) > most || len(part.States) > most {
				t.Fatalf("a part of %d transitions and %d states, the most is %d", len(part.Transitions), len(part.States), most)
			}
			here := map[int64]bool{}
			for _, tr := range part.Transitions {
				if tr.Seq != next {
					t.Fatalf("transition %d, want %d", tr.Seq, next)
				}
				next++
				here[tr.Seq] = true
			}
			for _, s := range part.States {
				if s.LastSeq >= first && !here[s.LastSeq] {
					t.Fatalf("the state of event %d is in another part", s.LastSeq)
				}
				states--
			}
			transitions -= len(part.Transitions)
		}
		if transitions != 0 || states != 0 || held != 0 || settled != 0 {
			t.Fatalf("%d transitions, %d states, %d held and %d settled are left over", transitions, states, held, settled)
		}
	})
}
