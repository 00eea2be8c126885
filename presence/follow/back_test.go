package follow_test

import (
	"errors"
	"slices"
	"strconv"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/zim-presence/poller/presence"
	"github.com/zim-presence/poller/presence/follow"
)

// goBack replaces event stream and bucket: the stream by an empty one, the bucket by
// one that holds the given events, in this order.
func (r *rig) goBack(bucket ...presence.Event) {
	r.t.Helper()
	for _, name := range []string{"PRESENCE_1234567890", "KV_presence_1234567890"} {
		if err := r.js.DeleteStream(r.t.Context(), name); err != nil && !errors.Is(err, jetstream.ErrStreamNotFound) {
			r.t.Fatal(err)
		}
	}
	for _, cfg := range []jetstream.StreamConfig{
		{Name: "PRESENCE_1234567890", Subjects: []string{"presence.v1.1234567890.*.*"}, AllowDirect: true},
		{Name: "KV_presence_1234567890", Subjects: []string{"$KV.presence_1234567890.>"}, MaxMsgsPerSubject: 1, AllowDirect: true},
	} {
		r.eventually("the files of the stream before are gone", func() bool {
			_, err := r.js.CreateStream(r.t.Context(), cfg)
			return err == nil
		})
	}
	for _, e := range bucket {
		data, err := e.Data()
		if err != nil {
			r.t.Fatal(err)
		}
		r.publish("$KV.presence_1234567890."+presence.EncodeUser(e.User.ID), e.ID(), e.Seq, data)
	}
}

// stored puts events at the end of the event stream, whatever stands there.
func (r *rig) stored(events ...presence.Event) {
	r.t.Helper()
	for _, e := range events {
		data, err := e.Data()
		if err != nil {
			r.t.Fatal(err)
		}
		msg := &nats.Msg{Subject: e.Subject(), Data: data, Header: nats.Header{
			presence.HeaderID: {e.ID()}, presence.HeaderSeq: {strconv.FormatInt(e.Seq, 10)},
		}}
		if _, err := r.js.PublishMsg(r.t.Context(), msg); err != nil {
			r.t.Fatal(err)
		}
	}
}

// The bucket is filled anew and holds new and old: who is told the new is not told
// the old behind it.
func TestTheBucketIsFilledAnew(t *testing.T) {
	r := newRig(t)
	early, late := []presence.Event{r.flip("early"), r.flip("other"), r.flip("early"), r.flip("other")}, []presence.Event{}
	for range 4 {
		late = append(late, r.flip("late"), r.flip("other"))
	}
	all := append(slices.Clone(early), late...)
	// As of event 3: the key of "late" still has its last event, that of "other" was
	// replaced by an older one.
	r.goBack(late[6], all[1], all[2])
	r.stored(all[:3]...)
	everybody, one := r.program(follow.Config{}), r.program(follow.Config{Users: []string{"late"}})
	for _, p := range []*program{everybody, one} {
		eventually(t, "the state is complete", func() bool { return len(p.heard(follow.Current)) == 1 })
	}
	r.stored(all[3:]...)
	r.stored(r.flip("late"), r.flip("other"))
	everybody.reaches(r)
	one.upTo(r.seq() - 1)
	one.faultless()
	if got := one.numbers(); !slices.Equal(got, []int64{13}) {
		t.Errorf("of one user told %v, want 13", got)
	}
	if got := len(everybody.heard(follow.Event)); got != 7 {
		t.Errorf("%d events told, want the 6 of others and one", got)
	}
}

// The app was started over, and the bucket still has events of the old numbering
// with higher numbers: the new ones are told all the same.
func TestTheBucketHasAnOldNumbering(t *testing.T) {
	r := newRig(t)
	old := []presence.Event{r.flip("alice"), r.flip("bob"), r.flip("bob"), r.flip("alice"), r.flip("alice"), r.flip("carol")}
	r.startOver("00000002")
	r.clock = len(old)
	first := r.flip("carol")
	r.goBack(old[2], old[4], first)
	r.stored(first)
	p, one := r.program(follow.Config{}), r.program(follow.Config{Users: []string{"alice"}})
	for _, p := range []*program{p, one} {
		eventually(t, "the state is complete", func() bool { return len(p.heard(follow.Current)) == 1 })
	}
	r.stored(r.change("alice", presence.Offline), r.change("bob", presence.Online), r.change("alice", presence.Online))
	for _, p := range []*program{p, one} {
		if err := p.untilEvent(4); err != nil {
			t.Fatal(err)
		}
	}
	if got := p.numbers(); !slices.Equal(got, []int64{2, 3, 4}) {
		t.Errorf("told %v, want 2 to 4", got)
	}
	if got := one.numbers(); !slices.Equal(got, []int64{2, 4}) {
		t.Errorf("of alice told %v, want 2 and 4", got)
	}
}
