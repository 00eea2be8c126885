package ledger

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/zim-presence/poller/presence"
)

// Who has gone stale is loaded as such, has a key in the bucket for good and is not
// told again; a removal and an answer end it.
func TestStale(t *testing.T) {
	l, pool := open(t)
	lease := win(t, l)
	users := enroll(t, lease, "back", "gone", "known", "stale")
	for seq, id := range []string{"back", "gone", "known", "stale"} {
		record(t, lease, told(int64(seq)+1, 0, users[id].User, presence.Unknown, presence.Online, 0))
	}
	snapshot(t, lease, 104, 4, 10)
	for seq, id := range []string{"back", "gone", "stale"} {
		was := map[string]int64{"back": 1, "gone": 2, "stale": 4}[id]
		commit(t, lease, stale(int64(seq)+5, was, users[id].User, presence.Online, 100), 104)
	}
	at := noon.Add(100 * time.Second)
	want := Loaded{State: presence.State{User: users["stale"].User, Watched: true, Stale: true, Since: at, ObservedAt: at, LastSeq: 7}}
	if diff := cmp.Diff(want, loaded(t, lease)["stale"]); diff != "" {
		t.Errorf("loaded (-want +got):\n%s", diff)
	}
	record(t, lease, told(8, 5, users["back"].User, presence.Unknown, presence.Offline, 110))
	removed := told(9, 6, users["gone"].User, presence.Unknown, presence.Unknown, 120)
	removed.Kind = presence.KindRemoved
	record(t, lease, removed)
	if rows := value[string](t, pool, `select string_agg(user_id || ' ' || stale || ' ' || watched, ', ' order by user_id) from user_states`); rows !=
		"back false true, gone false false, known false true, stale true true" {
		t.Errorf("the state has %s", rows)
	}
	long := noon.AddDate(1, 0, 0)
	if n, err := l.Keyed(t.Context(), long); n != 3 || err != nil { // gone was removed before
		t.Errorf("%d users have a key, %v, want 3", n, err)
	}
	var known []string
	if err := l.EachKnown(t.Context(), 9, func(id string) error { known = append(known, id); return nil }); err != nil {
		t.Fatal(err)
	}
	if slices.Sort(known); !slices.Equal(known, []string{"back", "known"}) {
		t.Errorf("%v would be told again, want back and known", known)
	}
	purged, err := l.Removed(t.Context(), time.Time{}, long, 0, 10)
	if err != nil || len(purged) != 1 || purged[0].User.ID != "gone" {
		t.Errorf("the keys of %+v would be purged, %v, want that of gone", purged, err)
	}
	if shown := value[string](t, pool, `select status || ' ' || extract(epoch from observed_at - $1)::int from presence where user_id = 'stale'`, noon); shown != "unknown 100" {
		t.Errorf("presence shows %s, want unknown since it was noticed", shown)
	}
	back, err := l.Past().BroughtBy(t.Context(), []uint32{users["back"].User.No, users["stale"].User.No}, long, 9)
	if err != nil || back[users["back"].User.No].Seq != 8 || back[users["stale"].User.No].Seq != 7 {
		t.Errorf("%+v brought the statuses, %v, want events 8 and 7", back, err)
	}
}

// An adoption knows who is stale and what was confirmed, in what it imports and in
// what it goes back to.
func TestAdoptStaleAndHeld(t *testing.T) {
	l, pool := open(t)
	first := win(t, l)
	users := enroll(t, first, "confirmed", "dropped", "held", "quiet", "stale", "was stale")
	u := func(id string) presence.User { return users[id].User }
	const on, off, unknown = presence.Online, presence.Offline, presence.Unknown
	for seq, id := range []string{"confirmed", "dropped", "held", "quiet", "stale", "was stale"} {
		record(t, first, told(int64(seq)+1, 0, u(id), unknown, on, 0))
	}
	commit(t, first, stale(7, 6, u("was stale"), on, 20), 107)
	snapshot(t, first, 108, 7, 30)
	// A sweep in which some are seen to be offline, which waits.
	commit(t, first, presence.Changes{Held: []presence.Held{change(u("held"), off, 31, 41), change(u("dropped"), off, 31, 41)}}, 109)
	snapshot(t, first, 109, 7, 40)
	snapshot(t, first, 110, 7, 50)
	// Behind the fork.
	commit(t, first, confirmed(8, 2, change(u("dropped"), off, 31, 41), 60), 110)
	record(t, first, told(9, 7, u("was stale"), unknown, on, 70))

	v2 := confirmed(8, 1, change(presence.User{ID: "confirmed"}, off, 100, 110), 130).Transitions[0]
	old := stale(9, 5, presence.User{ID: "stale"}, on, 140).Transitions[0]
	var imported []presence.Event
	for _, tr := range []presence.Transition{v2, old} {
		imported = append(imported, presence.Event{AppID: app, Log: "0000000a", Encoding: tr.Encoding(), Transition: tr})
	}
	var r Removals
	r.Add(imported)
	if watched, unlisted, err := l.Removals(t.Context(), 7, &r); err != nil || watched != 6 || unlisted != 6 {
		t.Errorf("Removals: %d watched, %d not listed, %v, want 6 and 6: who is stale is told as removed, too", watched, unlisted, err)
	}
	lease := seize(t, l)
	done, err := adopt(t, lease, 7, presence.Cursor{Seq: 9, StreamSeq: 9, StreamCreated: noon}, imported...)
	if err != nil || done.Watched != 6 {
		t.Fatalf("adopted %+v, %v, want 6 who count as watched", done, err)
	}
	for id, want := range map[string]stateRow{
		"confirmed": {true, "offline", "timeout", "110", "130", "100", 8}, "stale": {true, "unknown", "", "140", "140", "130", 9},
		"dropped": {true, "online", "", "0", "0", "31", 2}, "was stale": {true, "unknown", "", "20", "20", "20", 7},
	} {
		if diff := cmp.Diff(stateOf(t, pool, id), want); diff != "" {
			t.Errorf("state of %s (-got +want):\n%s", id, diff)
		}
	}
	if stale := value[string](t, pool, `select string_agg(user_id, ', ' order by user_id) from user_states where stale`); stale != "stale, was stale" {
		t.Errorf("stale are %s", stale)
	}
	if rows := heldRows(t, pool); rows != "" {
		t.Errorf("%s wait still", rows)
	}
	// The sweeps since then saw those users say something else.
	if sweeps := value[string](t, pool, `select coalesce(string_agg(sweep::text, ' ' order by sweep), '') from snapshots`); sweeps != "108" {
		t.Errorf("snapshots of sweeps %s are left, want 108", sweeps)
	}
	for id, want := range map[string]int{"held": 30, "dropped": 31, "quiet": 30} {
		if got := loaded(t, lease)[id].Seen; !got.Equal(noon.Add(time.Duration(want) * time.Second)) {
			t.Errorf("%s was last seen at %s, want %d s after noon", id, got, want)
		}
	}
	for i := range imported {
		row, _, err := l.Event(t.Context(), imported[i].Seq)
		must := func(e presence.Event) string { data, err := e.Data(); return string(data) + e.Subject() + errText(err) }
		if err != nil || must(row) != must(imported[i]) {
			t.Errorf("event %d is %s, %v, want what was told: %s", imported[i].Seq, must(row), err, must(imported[i]))
		}
	}
}

func errText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// Of a user who is forgotten nothing waits, and the tombstones are as any.
func TestForgetWhoHasAHeldChange(t *testing.T) {
	l, pool := open(t)
	lease := win(t, l)
	users := enroll(t, lease, "alice", "bob")
	for seq, id := range []string{"alice", "bob"} {
		record(t, lease, told(int64(seq)+1, 0, users[id].User, presence.Unknown, presence.Online, 0))
	}
	commit(t, lease, confirmed(3, 1, change(users["alice"].User, presence.Offline, 10, 20), 40), 103)
	commit(t, lease, presence.Changes{Held: []presence.Held{change(users["alice"].User, presence.Online, 50, 60), change(users["bob"].User, presence.Offline, 50, 60)}}, 104)
	forgetUser(t, lease, traces(t, l, "alice"))
	if rows := heldRows(t, pool); rows != "2 offline 50 60" {
		t.Errorf("%s wait, want that of bob", rows)
	}
	for _, e := range events(t, l, presence.Cursor{}, 10) {
		if _, err := e.Data(); err != nil || e.Kind == presence.KindErased && (e.Encoding != presence.EncodingV1 || !e.ConfirmedAt.IsZero()) {
			t.Errorf("event %d is %+v, %v", e.Seq, e, err)
		}
	}
	if n := value[int](t, pool, `select count(*) from transitions where kind = 'erased'`); n != 3 {
		t.Errorf("%d tombstones, want 3: two of alice's, and one for the end", n)
	}
}
