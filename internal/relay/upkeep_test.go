package relay

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rs/zerolog"

	"github.com/zim-presence/poller/presence"
)

// pantry is a bucket, and everything that is remembered beside it.
type pantry struct {
	state   presence.BucketState
	keys    []string
	known   map[string]int64 // last event of each
	removed []presence.State
	told    int64
	note    presence.BucketNote
	reads   int
	purged  []string
	lost    [][]string
}

func (p *pantry) BucketState(context.Context) (presence.BucketState, error) { return p.state, nil }

func (p *pantry) Bucket(_ context.Context, yield func([]presence.Told) error) error {
	p.reads++
	for _, key := range p.keys {
		if err := yield([]presence.Told{{Subject: "$KV.presence_1." + presence.EncodeUser(key)}}); err != nil {
			return err
		}
	}
	return nil
}

func (p *pantry) PurgeKey(_ context.Context, user string, seq int64) error {
	p.purged = append(p.purged, fmt.Sprint(user, " ", seq))
	return nil
}

func (p *pantry) Keyed(_ context.Context, removedSince time.Time) (int64, error) {
	n := len(p.known)
	for _, s := range p.removed {
		if !s.Since.Before(removedSince) {
			n++
		}
	}
	return int64(n), nil
}

func (p *pantry) EachKnown(_ context.Context, upTo int64, yield func(string) error) error {
	for user, seq := range p.known {
		if seq <= upTo {
			if err := yield(user); err != nil {
				return err
			}
		}
	}
	return nil
}

func (p *pantry) Removed(_ context.Context, from, to time.Time, no uint32, limit int) (page []presence.State, _ error) {
	for _, s := range p.removed {
		if s.User.No > no && !s.Since.Before(from) && s.Since.Before(to) && len(page) < limit {
			page = append(page, s)
		}
	}
	return page, nil
}

// notes is the pantry's memory: a method of its own name is taken.
type notes struct{ *pantry }

func (n notes) Bucket(context.Context) (presence.BucketNote, error) { return n.note, nil }

func (n notes) SaveBucket(_ context.Context, note presence.BucketNote) error {
	n.note = note
	return nil
}

func (n notes) Cursor(context.Context) (presence.Cursor, error) {
	return presence.Cursor{Seq: n.told}, nil
}

func (notes) SaveCursor(context.Context, presence.Cursor) error { return nil }

func (p *pantry) upkeep() *Upkeep {
	return &Upkeep{Keys: p, Notes: notes{p}, Users: p, Cursors: notes{p}, Log: zerolog.Nop(), Lost: func(ids []string, _ int64) {
		slices.Sort(ids)
		p.lost = append(p.lost, ids)
	}}
}

// turns lets so many looks pass, the clock's time apart, and returns the moment
// of the last.
func turns(t *testing.T, u *Upkeep, from time.Time, n int) time.Time {
	t.Helper()
	for range n {
		from = from.Add(upkeepClock)
		if err := u.turn(t.Context(), from); err != nil {
			t.Fatal(err)
		}
	}
	return from
}

// A bucket that is being filled is waited for; nobody is told again for its sake.
func TestUpkeepWaitsForABucketThatIsFilled(t *testing.T) {
	now := time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)
	p := &pantry{state: presence.BucketState{Created: now}, known: map[string]int64{"a": 1, "b": 2}, told: 2}
	u := p.upkeep()
	now = turns(t, u, now, 2)
	p.state.Keys, p.state.Newest, p.keys = 1, 1, []string{"a"}
	now = turns(t, u, now, 2)
	if p.reads > 0 || p.lost != nil {
		t.Errorf("read %d times, told again %v, while it was filled", p.reads, p.lost)
	}
	p.state.Keys, p.state.Newest, p.keys = 2, 2, []string{"a", "b"}
	now = turns(t, u, now, 1)
	if p.lost != nil || !p.note.Whole.Equal(p.state.Created) {
		t.Errorf("told again %v, whole %s; it has everybody", p.lost, p.note.Whole)
	}
	turns(t, u, now, 100)
	if p.reads != 1 {
		t.Errorf("a whole bucket was read %d times", p.reads)
	}
}

// Who is missing is told again until the bucket is whole. Whoever has an event
// that the bucket cannot have yet is not judged.
func TestUpkeepFindsWhoIsMissing(t *testing.T) {
	now := time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)
	known := map[string]int64{"a.b": 1, "bob": 2, "new": 4}
	for name, c := range map[string]struct {
		state presence.BucketState
		want  []string
	}{
		"the stream has nothing left":      {presence.BucketState{Created: now, Drained: true}, []string{"a.b", "bob"}},
		"the stream has some events left":  {presence.BucketState{Created: now, Newest: 3}, []string{"a.b", "bob"}},
		"made a moment ago, stream is old": {presence.BucketState{Created: now, Newest: 1}, nil},
	} {
		p := &pantry{state: c.state, known: known, told: 3}
		turns(t, p.upkeep(), now, 1)
		var got []string
		for _, ids := range p.lost {
			got = append(got, ids...)
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s: told again (-want +got):\n%s", name, diff)
		}
	}

	p := &pantry{state: presence.BucketState{Created: now, Drained: true}, known: known, told: 4}
	u := p.upkeep()
	now = turns(t, u, now, 7) // a minute, and a look behind it
	if len(p.lost) != 2 {
		t.Errorf("told %d times in a minute, want again after it", len(p.lost))
	}
	p.keys, p.state.Keys = []string{"a.b", "bob", "new"}, 3
	now = turns(t, u, now, 13)
	if p.note.Whole.IsZero() || len(p.lost) != 2 {
		t.Errorf("whole %s, told %d times", p.note.Whole, len(p.lost))
	}
	// Somebody takes a key out by hand.
	p.keys, p.state.Keys = []string{"a.b", "new"}, 2
	turns(t, u, now, int(countClock/upkeepClock)+1)
	if len(p.lost) != 3 || !slices.Equal(p.lost[2], []string{"bob"}) {
		t.Errorf("told %v, want bob at last", p.lost)
	}
}

// Who was removed long ago is taken out once, a page at a time.
func TestUpkeepPurgesTheRemoved(t *testing.T) {
	now := time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)
	p := &pantry{state: presence.BucketState{Created: now, Newest: 9999, Keys: 1}, told: 9999}
	long := now.Add(-keyOfRemoved - time.Hour)
	for no := range uint32(purgePage + 1) {
		p.removed = append(p.removed, presence.State{User: presence.User{No: no + 1, ID: fmt.Sprint("user", no+1)}, Since: long, LastSeq: int64(no)})
	}
	p.removed = append(p.removed, presence.State{User: presence.User{No: 5000, ID: "lately"}, Since: now.Add(-keyOfRemoved + 2*time.Hour)})
	u := p.upkeep()
	now = turns(t, u, now, 100)
	if len(p.purged) != purgePage+1 || p.purged[purgePage] != fmt.Sprint("user", purgePage+1, " ", purgePage) {
		t.Errorf("%d keys were purged, the last %s", len(p.purged), p.purged[len(p.purged)-1])
	}
	turns(t, u, now, 3*int(time.Hour/upkeepClock))
	if len(p.purged) != purgePage+2 || p.purged[purgePage+1] != "lately 0" {
		t.Errorf("%d keys were purged, want one more", len(p.purged))
	}
}

// A bucket that is made anew takes over removals that the stream still has, also such
// as were taken out of the bucket before it.
func TestUpkeepPurgesTheRemovedAgain(t *testing.T) {
	now := time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)
	p := &pantry{state: presence.BucketState{Created: now, Newest: 9}, told: 9}
	p.removed = []presence.State{{User: presence.User{No: 1, ID: "gone"}, Since: now.Add(-keyOfRemoved - time.Hour), LastSeq: 5}}
	u := p.upkeep()
	for n := 1; n <= 2; n++ {
		now = turns(t, u, now, 2*int(time.Hour/upkeepClock))
		if len(p.purged) != n {
			t.Errorf("with bucket %d: purged %v", n, p.purged)
		}
		p.state.Created = now
	}
}

// Who was removed lately has a key, and hides nobody whose key was taken out.
func TestUpkeepCountsTheRemoved(t *testing.T) {
	now := time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)
	p := &pantry{
		state: presence.BucketState{Created: now, Newest: 9, Keys: 3}, told: 9,
		known: map[string]int64{"a": 1, "b": 2}, keys: []string{"a", "b", "gone"},
		removed: []presence.State{{User: presence.User{No: 3, ID: "gone"}, Since: now.Add(-time.Hour), LastSeq: 5}},
	}
	u := p.upkeep()
	now = turns(t, u, now, 10)
	p.state.Keys, p.keys = 2, []string{"a", "gone"}
	turns(t, u, now, int(countClock/upkeepClock)+1)
	if len(p.lost) != 1 || !slices.Equal(p.lost[0], []string{"b"}) {
		t.Errorf("told again %v, want b", p.lost)
	}
}

// The bucket's newest event stays, whosever it is, until there is a newer one.
func TestUpkeepLeavesTheNewestEvent(t *testing.T) {
	now := time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)
	long := now.Add(-keyOfRemoved - time.Hour)
	p := &pantry{state: presence.BucketState{Created: now, Newest: 9, Keys: 2}, told: 9, removed: []presence.State{
		{User: presence.User{No: 1, ID: "a"}, Since: long, LastSeq: 8}, {User: presence.User{No: 2, ID: "b"}, Since: long, LastSeq: 9},
	}}
	u := p.upkeep()
	now = turns(t, u, now, 1)
	if !slices.Equal(p.purged, []string{"a 8"}) {
		t.Errorf("purged %v, want a alone", p.purged)
	}
	p.purged, p.state.Newest, p.told = nil, 10, 10
	turns(t, u, now, int(countClock/upkeepClock)+1)
	if !slices.Contains(p.purged, "b 9") {
		t.Errorf("purged %v, want b", p.purged)
	}
}
