package follow_test

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/zim-presence/poller/presence"
	"github.com/zim-presence/poller/presence/follow"
)

// erase takes events out of the stream, and tells so before if it is to.
func (r *rig) erase(tell bool, seqs ...int64) {
	r.t.Helper()
	if tell {
		_, err := r.js.CreateOrUpdateStream(r.t.Context(), jetstream.StreamConfig{
			Name: "PRESENCE_CONTROL_1234567890", Subjects: []string{presence.ControlSubject(app, ">")},
		})
		if err != nil {
			r.t.Fatal(err)
		}
		for _, word := range presence.ErasedOf(app, presence.SeqSetOf(seqs...), time.Now()) {
			data, err := word.Data()
			if err == nil {
				_, err = r.js.Publish(r.t.Context(), word.Subject(), data)
			}
			if err != nil {
				r.t.Fatal(err)
			}
		}
	}
	s, err := r.js.Stream(r.t.Context(), "PRESENCE_1234567890")
	if err != nil {
		r.t.Fatal(err)
	}
	for _, seq := range seqs {
		if err := s.DeleteMsg(r.t.Context(), uint64(seq)); err != nil {
			r.t.Fatal(err)
		}
	}
}

// publish stores bytes as an event, as a newer poller might.
func (r *rig) publish(subject, id string, seq int64, data []byte) {
	r.t.Helper()
	msg := &nats.Msg{Subject: subject, Data: data, Header: nats.Header{
		presence.HeaderID: {id}, presence.HeaderSeq: {strconv.FormatInt(seq, 10)}, presence.HeaderType: {presence.ContentType},
	}}
	if _, err := r.js.PublishMsg(r.t.Context(), msg); err != nil {
		r.t.Fatal(err)
	}
}

// What is missing and was not told to be erased is a gap, with its numbers.
func TestAGapIsTold(t *testing.T) {
	r := newRig(t)
	r.told(r.some(20, 3)...)
	r.erase(true, 8)
	r.erase(false, 7, 9)
	for _, cfg := range []follow.Config{{After: 5}, {After: 5, Durable: "stops"}} {
		p := r.program(cfg)
		if gap := wantEnd[*follow.GapError](p); gap.App != app || gap.First != 7 || gap.Last != 9 {
			t.Errorf("%v", gap)
		}
		if got := p.numbers(); !slices.Equal(got, []int64{6}) {
			t.Errorf("told %v, want 6 alone", got)
		}
	}
	r.settled()
	p := r.program(follow.Config{After: 5, OnGap: follow.BeginAgain})
	p.upTo(20)
	resets := p.heard(follow.Reset)
	if len(resets) != 1 || !errors.As(resets[0].Why, new(*follow.GapError)) {
		t.Errorf("resets %v, want one for the gap", resets)
	}
	eventually(t, "the state behind the gap is whole", func() bool {
		_, _, current := p.snapshot()
		return current
	})
	p.reaches(r)
}

// Holes that were told are none, in the middle, at the beginning and at the end of
// the stream; who wants to hears of them.
func TestErasedEventsAreNoGap(t *testing.T) {
	r := newRig(t)
	r.told(r.some(20, 3)...)
	r.erase(true, 1, 2, 6, 8, 9, 20)
	p, told := r.program(follow.Config{After: 4}), r.program(follow.Config{After: 4, TellErased: true})
	if err := errors.Join(p.untilEvent(19), told.untilEvent(19)); err != nil {
		t.Fatal(err)
	}
	r.told(r.change("next", presence.Online))
	p.upTo(21)
	told.upTo(21)
	want := []int64{5, 7, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 21}
	if got := p.numbers(); !slices.Equal(got, want) || len(p.heard(follow.Erased)) > 0 {
		t.Errorf("told %v, want %v", got, want)
	}
	if got := told.erased(); got != "1-2, 6-6, 8-9, 20-20" {
		t.Errorf("erased: %s", got)
	}
	if got := p.follower.Stats(); got.Erased != 4 {
		t.Errorf("%+v, want 4 erased", got)
	}
	// From the beginning: the state comes from what is left.
	q := r.program(follow.Config{})
	q.upTo(21)
	// What was told before is erased later.
	r.erase(true, 18, 21)
	eventually(t, "it is told", func() bool { return told.erased() == "1-2, 6-6, 8-9, 20-20, 18-18, 21-21" })
}

// erased are the numbers that were told to be.
func (p *program) erased() string {
	var runs []string
	for _, i := range p.heard(follow.Erased) {
		runs = append(runs, fmt.Sprintf("%d-%d", i.First, i.Last))
	}
	return strings.Join(runs, ", ")
}

// An event that was erased before it was told has a number and nothing else.
func TestErasedEvents(t *testing.T) {
	r := newRig(t)
	r.told(r.change("alice", presence.Online))
	r.settled()
	p := r.program(follow.Config{})
	p.upTo(1)
	r.told(r.nobody())
	r.told(r.change("alice", presence.Offline))
	p.reaches(r)
	if got := p.follower.Stats(); got.Erased != 1 {
		t.Errorf("%+v, want one that is erased", got)
	}
	late := r.program(follow.Config{})
	late.reaches(r)
}

// nobody makes an event that was erased.
func (r *rig) nobody() presence.Event {
	r.mu.Lock()
	defer r.mu.Unlock()
	e := presence.Event{AppID: app, Log: r.log, Encoding: presence.EncodingV1, Transition: presence.Transition{
		Seq: int64(len(r.ledger)) + 1, Kind: presence.KindErased, ObservedAt: time.Date(2026, 11, 22, 18, 0, 0, 0, time.UTC), Sweep: 1,
	}}
	r.ledger = append(r.ledger, e)
	return e
}

// What has expired before it was read is a gap, also when nothing is left and
// nothing comes.
func TestExpired(t *testing.T) {
	r := newRig(t)
	r.told(r.some(20, 3)...)
	r.settled()
	s, err := r.js.Stream(t.Context(), "PRESENCE_1234567890")
	if err != nil {
		t.Fatal(err)
	}
	for _, keep := range []uint64{5, 0} {
		if err := s.Purge(t.Context(), jetstream.WithPurgeKeep(keep)); err != nil {
			t.Fatal(err)
		}
		for _, users := range [][]string{nil, {"user-0"}} {
			gap := wantEnd[*follow.GapError](r.program(follow.Config{After: 10, Users: users}))
			if want := int64(20 - keep); gap.First != 11 || gap.Last != want {
				t.Errorf("%d kept: %v, want 11 to %d", keep, gap, want)
			}
		}
		r.program(follow.Config{After: 20}).upTo(20)
		r.program(follow.Config{}).reaches(r)
	}
	r.told(r.some(5, 3)...)
	r.program(follow.Config{After: 20}).upTo(25)
	wantEnd[*follow.GapError](r.program(follow.Config{After: 19}))
}

// A log that changes while the numbers go on is no event. Numbers that go back are
// one, unless they are of events that were told.
func TestTheLogChanges(t *testing.T) {
	r := newRig(t)
	r.told(r.some(20, 3)...)
	r.settled()
	r.log = "00000002"
	p, again := r.program(follow.Config{}), r.program(follow.Config{OnGap: follow.BeginAgain})
	p.upTo(20)
	again.upTo(20)
	r.told(r.some(20, 3)...)
	p.reaches(r)
	again.reaches(r)
	// The app is started over.
	for _, name := range []string{"KV_presence_1234567890", "PRESENCE_1234567890"} {
		if err := r.js.DeleteStream(t.Context(), name); err != nil {
			t.Fatal(err)
		}
	}
	r.startOver("00000003")
	r.ensure()
	r.told(r.some(30, 3)...)
	anew := wantEnd[*follow.AnewError](p)
	if anew.Seq != 40 || anew.Log != "00000002" || anew.NewLog != "00000003" {
		t.Errorf("%v", anew)
	}
	eventually(t, "the state is told again", func() bool { return len(again.heard(follow.Reset)) > 1 })
	again.reaches(r)
}

// The same, where the follower has met the new stream while that was empty.
func TestTheNumberingBeginsAnew(t *testing.T) {
	r := newRig(t)
	r.told(r.some(20, 3)...)
	r.settled()
	p := r.program(follow.Config{})
	p.upTo(20)
	for _, name := range []string{"KV_presence_1234567890", "PRESENCE_1234567890"} {
		if err := r.js.DeleteStream(t.Context(), name); err != nil {
			t.Fatal(err)
		}
	}
	r.startOver("00000002")
	r.ensure()
	r.eventually("the follower waits for the first event", func() bool {
		s, err := r.js.Stream(t.Context(), "PRESENCE_1234567890")
		return err == nil && s.CachedInfo().State.Consumers > 0
	})
	r.told(r.some(1, 3)...)
	if anew := wantEnd[*follow.AnewError](p); anew.Seq != 20 || anew.NewSeq != 1 {
		t.Errorf("%v", anew)
	}
}

// startOver is another ledger.
func (r *rig) startOver(log string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.log, r.ledger = log, nil
	clear(r.last)
	clear(r.status)
}

// A kind that this version does not know is counted and passed over.
func TestStrangeKinds(t *testing.T) {
	r := newRig(t)
	r.told(r.change("alice", presence.Online), r.change("bob", presence.Online))
	r.settled()
	p, some := r.program(follow.Config{}), r.program(follow.Config{Users: []string{"alice"}})
	p.upTo(2)
	some.upTo(2)
	e := r.change("alice", presence.Offline)
	data, err := e.Data()
	if err != nil {
		t.Fatal(err)
	}
	strange := strings.NewReplacer(`"kind":"offline"`, `"kind":"snoozing"`, `"to":"offline"`, `"to":"unknown"`).Replace(string(data))
	r.publish("presence.v1.1234567890.snoozing.alice", e.ID(), e.Seq, []byte(strange))
	r.told(r.change("alice", presence.Online))
	for _, p := range []*program{p, some} {
		p.upTo(4)
		if got := p.numbers(); !slices.Equal(got, []int64{4}) || p.follower.Stats().Strange != 1 {
			t.Errorf("told %v, %+v; want 4, and one strange", got, p.follower.Stats())
		}
	}
	e = r.change("alice", presence.Offline)
	if data, err = e.Data(); err != nil {
		t.Fatal(err)
	}
	r.publish("presence.v1.1234567890.dozing.alice", e.ID(), e.Seq, []byte(strings.Replace(string(data), `"kind":"offline"`, `"kind":"dozing"`, 1)))
	r.settled()
	r.program(follow.Config{}).reaches(r)
}

// Stale users are unknown, and known again by a baseline; what was held back says when
// it was confirmed. Who joins while a user is stale is told nothing of the user.
func TestStaleAndConfirmed(t *testing.T) {
	r := newRig(t)
	r.told(r.change("alice", presence.Online), r.change("bob", presence.Online))
	r.settled()
	early, some := r.program(follow.Config{}), r.program(follow.Config{Users: []string{"alice"}, Kinds: []presence.Kind{presence.KindStale}})
	early.upTo(2)
	some.upTo(2)
	stale := r.change("alice", presence.Unknown)
	stale.Kind = presence.KindStale
	confirmed := r.change("bob", presence.Offline)
	confirmed.Encoding, confirmed.ConfirmedAt = presence.EncodingV2, confirmed.ObservedAt.Add(time.Minute)
	r.retell(stale, confirmed)
	r.told(stale, confirmed)
	early.upTo(4)
	some.upTo(3)
	r.settled()
	late := r.program(follow.Config{})
	late.upTo(4)
	for name, p := range map[string]*program{"early": early, "late": late} {
		status, _, _ := p.snapshot()
		if got := status["alice"]; got != presence.Unknown || status["bob"] != presence.Offline {
			t.Errorf("%s: alice is %s and bob %s, want unknown and offline", name, got, status["bob"])
		}
	}
	if told := some.heard(follow.Event); len(told) != 1 || told[0].Event.Kind != presence.KindStale || told[0].Event.To != presence.Unknown {
		t.Errorf("who wants stale events alone is told %v", told)
	}
	if told := early.heard(follow.Event); len(told) != 2 || !told[1].Event.ConfirmedAt.Equal(confirmed.ConfirmedAt) {
		t.Errorf("told %+v, want that it was confirmed at %s", told, confirmed.ConfirmedAt)
	}
	if states := late.heard(follow.State); len(states) != 1 || states[0].Event.User.ID != "bob" || !states[0].Event.ConfirmedAt.Equal(confirmed.ConfirmedAt) {
		t.Errorf("the late one is told the states %+v", states)
	}
	if n := early.follower.Stats().Strange; n != 0 {
		t.Errorf("%d events are strange", n)
	}
	r.told(r.change("alice", presence.Offline))
	for _, p := range []*program{early, late} {
		p.upTo(5)
		p.reaches(r)
	}
}

// retell puts events in the place of those that the ledger has.
func (r *rig) retell(events ...presence.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range events {
		r.ledger[e.Seq-1] = e
	}
}

// untilEvent waits until an event was told.
func (p *program) untilEvent(seq int64) error {
	eventually(p.t, "event "+strconv.FormatInt(seq, 10), func() bool { return p.at() >= seq })
	return nil
}
