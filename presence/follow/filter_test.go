package follow_test

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/zim-presence/poller/presence"
	"github.com/zim-presence/poller/presence/follow"
)

// Users are picked out by the server or here, kinds here; the proof is the same.
func TestFilters(t *testing.T) {
	r := newRig(t)
	r.told(r.some(300, 10)...)
	r.settled()
	few := []string{userN(1), userN(2), userN(3), "never seen"}
	many := slices.Clone(few)
	for i := range follow.FilteredUsers {
		many = append(many, "another-"+strconv.Itoa(i))
	}
	var programs []*program
	for _, cfg := range []follow.Config{{Users: few}, {Users: many}, {Users: few, Durable: "few"}, {Users: many, Durable: "many"}} {
		programs = append(programs, r.program(cfg))
	}
	kinds := r.program(follow.Config{Kinds: []presence.Kind{presence.KindRemoved}})
	for _, p := range append(programs, kinds) {
		p.upTo(300)
	}
	r.told(r.some(300, 10)...)
	r.told(r.flip(userN(1)))
	truth := r.truth()
	var events, removed []int64
	for _, e := range r.ledgerFrom(301) {
		if slices.Contains(few, e.User.ID) {
			events = append(events, e.Seq)
		}
		if e.Kind == presence.KindRemoved {
			removed = append(removed, e.Seq)
		}
	}
	maps.DeleteFunc(truth, func(id string, _ presence.Status) bool { return !slices.Contains(few, id) })
	for _, p := range programs {
		p.upTo(r.seq())
		p.faultless()
		if got := p.numbers(); !slices.Equal(got, events) {
			t.Errorf("told %v, want %v", got, events)
		}
		if status, _, _ := p.snapshot(); !maps.Equal(status, truth) {
			t.Errorf("%v, want %v", status, truth)
		}
	}
	eventually(t, "all is read", func() bool { return kinds.follower.Stats().Seq == r.seq() })
	if got := kinds.numbers(); !slices.Equal(got, removed) {
		t.Errorf("removed: told %v, want %v", got, removed)
	}
	// A durable consumer is made for its users.
	wantEnd[*follow.DurableError](r.program(follow.Config{Users: few[:2], Durable: "few"}))
	wantEnd[*follow.DurableError](r.program(follow.Config{Durable: "many"}))
}

// One user's chain: an event of the user that is missing is a gap, one of another
// is none.
func TestOneUser(t *testing.T) {
	r := newRig(t)
	r.told(r.change("alice", presence.Online), r.change("bob", presence.Online))
	r.settled()
	p, alone := r.program(follow.Config{Users: []string{"alice"}, After: 2}), r.program(follow.Config{Users: []string{"alice"}})
	alone.upTo(2)
	_ = p.stop()
	_ = alone.stop()
	r.told(r.flip("alice"), r.flip("bob"), r.flip("alice"), r.flip("alice"))
	r.erase(false, 4)
	p.run()
	alone.run()
	p.upTo(6)
	alone.upTo(6)
	if got := alone.numbers(); !slices.Equal(got, []int64{3, 5, 6}) {
		t.Errorf("told %v, want 3, 5, 6", got)
	}
	_ = p.stop()
	r.told(r.flip("alice"), r.flip("alice"), r.flip("bob"))
	alone.upTo(8)
	r.erase(false, 7)
	p.run()
	if gap := wantEnd[*follow.GapError](p); gap.First != 7 || gap.Last != 7 {
		t.Errorf("%v, want 7", gap)
	}
	r.erase(true, 9)
	p = r.program(follow.Config{Users: []string{"bob"}, After: 8})
	r.told(r.flip("bob"))
	if err := p.untilEvent(10); err != nil {
		t.Error(err)
	}
}

// Users who do not change for longer than the stream keeps events are no gap: not
// for who was there, nor for who comes back with its own place.
func TestQuietUsers(t *testing.T) {
	r := newRig(t)
	r.told(r.change("alice", presence.Online), r.change("carol", presence.Online), r.change("bob", presence.Online))
	r.settled()
	there, durable := r.program(follow.Config{Users: []string{"alice"}}), r.program(follow.Config{Users: []string{"alice"}, Durable: "alice"})
	there.upTo(3)
	durable.upTo(3)
	s, err := r.js.Stream(t.Context(), "PRESENCE_1234567890")
	for keep := range uint64(2) {
		after := r.seq()
		for range 5 {
			r.told(r.flip("bob"))
		}
		r.told(r.flip("carol"), r.flip("bob"))
		for _, p := range []*program{there, durable} {
			eventually(t, "the stream's end is looked up", func() bool { return p.follower.Stats().Seq == r.seq() })
		}
		_ = durable.stop()
		r.settled()
		if err == nil {
			err = s.Purge(t.Context(), jetstream.WithPurgeKeep(1-keep))
		}
		if err != nil {
			t.Fatal(err)
		}
		r.server.Restart()
		back := r.program(follow.Config{Users: []string{"alice"}, After: after})
		durable = r.program(follow.Config{Users: []string{"alice"}, Durable: "alice"})
		for _, users := range [][]string{{"alice", "carol"}, {"nobody"}} {
			if gap := wantEnd[*follow.GapError](r.program(follow.Config{Users: users, After: after})); gap.First != after+1 {
				t.Errorf("%v: %v", users, gap)
			}
		}
		r.told(r.flip("alice"))
		for _, p := range []*program{there, back, durable} {
			if err := p.untilEvent(r.seq()); err != nil {
				t.Fatal(err)
			}
			p.faultless()
		}
		r.settled()
	}
}

// The place moves on with the stream only when all of the users' events up to there
// are done, however often it is looked at.
func TestTheirEventsAreNotSkipped(t *testing.T) {
	r := newRig(t)
	r.told(r.flip("alice"))
	r.settled()
	f, err := follow.New(r.connect(), follow.Config{App: app, Users: []string{"alice"}})
	if err != nil {
		t.Fatal(err)
	}
	f.Every(time.Millisecond)
	var got []int64
	enough := errors.New("enough")
	err = f.Run(t.Context(), func(_ context.Context, i follow.Item) error {
		if i.What == follow.Event {
			got = append(got, i.Seq)
		}
		if len(got) == 60 {
			return enough
		}
		if i.What == follow.Current || len(got) > 0 && len(got) <= 20 {
			r.told(r.flip("alice"), r.flip("bob"), r.flip("alice"), r.flip("alice"))
		}
		return nil
	})
	if outages := f.Stats().Outages; outages > 0 {
		t.Errorf("%d outages", outages)
	}
	var want []int64
	for _, e := range r.ledgerFrom(2) {
		if e.User.ID == "alice" && len(want) < 60 {
			want = append(want, e.Seq)
		}
	}
	if !errors.Is(err, enough) || !slices.Equal(got, want) {
		t.Errorf("told %v, want %v; %v", got, want, err)
	}
}

// A consumer that was made by another program is left alone.
func TestAnotherProgramsConsumer(t *testing.T) {
	r := newRig(t)
	if _, err := r.js.CreateConsumer(t.Context(), "PRESENCE_1234567890", jetstream.ConsumerConfig{Durable: "theirs"}); err != nil {
		t.Fatal(err)
	}
	wantEnd[*follow.DurableError](r.program(follow.Config{Durable: "theirs"}))
}

func TestConfigsThatAreRefused(t *testing.T) {
	js := newRig(t).js
	for name, cfg := range map[string]follow.Config{
		"no app": {}, "before the first": {App: app, After: -1}, "an unknown way": {App: app, OnGap: 2}, "no name": {App: app, Durable: "a.b"},
		"a user without id": {App: app, Users: []string{""}}, "no kind": {App: app, Kinds: []presence.Kind{0}},
	} {
		if _, err := follow.New(js, cfg); err == nil {
			t.Errorf("%s: %+v is taken", name, cfg)
		}
	}
}
