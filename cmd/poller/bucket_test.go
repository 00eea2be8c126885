package main

import (
	"context"
	"strconv"
	"testing"

	"github.com/zim-presence/poller/internal/zimsim"
	"github.com/zim-presence/poller/presence"
)

// keys returns the last event of each user as the bucket has it.
func (w *world) keys() map[string]presence.Event {
	w.t.Helper()
	kv, err := w.js.KeyValue(context.Background(), "presence_"+strconv.Itoa(worldApp))
	if err != nil {
		return nil
	}
	all, err := kv.WatchAll(context.Background())
	if err != nil {
		return nil
	}
	defer func() { _ = all.Stop() }()
	got := map[string]presence.Event{}
	for entry := range all.Updates() {
		if entry == nil {
			break
		}
		e, err := presence.ParseEvent(entry.Value())
		if err != nil {
			w.t.Fatal(err)
		}
		got[e.User.ID] = e
	}
	return got
}

// The events have expired, and then the bucket is lost: everybody whose status is
// known is told again, once, as a baseline behind the event before, and since
// when they are so stays. Who was removed long ago is gone from the bucket for
// good.
func TestBucketLostBehindTheStream(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "POLLER_SCHEDULE=@every 1s")
	users := []string{"a.b", "bob", "carol", "dave"}
	w.watch(users...)
	w.set(map[string]zimsim.State{users[0]: zimsim.Online})
	p := w.start("run")
	w.until("four baselines", func() bool { return len(w.keys()) == 4 })
	w.unwatch(users[3])
	w.until("the removal", func() bool { return w.keys()[users[3]].Kind == presence.KindRemoved })
	w.set(map[string]zimsim.State{users[1]: zimsim.Online}) // the bucket's newest event is never purged
	w.until("a newer event", func() bool { return w.keys()[users[1]].Kind == presence.KindOnline })
	w.exec(`update user_states set since = now() - interval '8 days' where not watched`)
	p.stop()
	since := w.text(`select since::text from presence where user_id = 'a.b'`)

	events, err := w.js.Stream(context.Background(), "PRESENCE_"+strconv.Itoa(worldApp))
	if err != nil {
		t.Fatal(err)
	}
	p = w.start("run") // takes the removed one out of the whole bucket
	w.until("the key of the removed user is purged", func() bool { _, there := w.keys()[users[3]]; return !there })
	before := w.keys()
	if err := events.Purge(context.Background()); err != nil {
		t.Fatal(err)
	}
	if err := w.js.DeleteStream(context.Background(), "KV_presence_"+strconv.Itoa(worldApp)); err != nil {
		t.Fatal(err)
	}
	w.until("everybody is in the bucket again", func() bool { return len(w.keys()) == 3 })
	w.sweeps(2)
	for _, user := range users[:3] {
		e, was := w.keys()[user], before[user]
		if e.Kind != presence.KindBaseline || e.From != presence.Unknown || e.To != was.To || e.PrevSeq != was.Seq || !e.After.IsZero() {
			t.Errorf("%s is told again as %+v, behind %+v", user, e, was)
		}
	}
	info, err := events.Info(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if info.State.Msgs != 3 {
		t.Errorf("%d events, want each of 3 users told again once", info.State.Msgs)
	}
	if still := w.text(`select since::text from presence where user_id = 'a.b'`); still != since {
		t.Errorf("since = %s, was %s", still, since)
	}
	p.stop()
}
