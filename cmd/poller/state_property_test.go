package main

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/rs/zerolog"
	"pgregory.net/rapid"

	"github.com/zim-presence/poller/internal/ledger"
	"github.com/zim-presence/poller/presence"
)

// oracle remembers in the plainest way what happened.
type oracle struct {
	moments []oracleMoment
	kept    []oracleSnapshot
	pruned  int64
	erased  map[string]bool
}

// oracleMoment is who was in which status from a time on, as was told then, and when that was seen first.
type oracleMoment struct {
	at      time.Time
	seen    time.Time
	state   map[string]presence.Status
	changed []presence.User
}

type oracleSnapshot struct {
	presence.Snapshot
	state map[string]presence.Status
}

// answer is what is to be told at a time; nothing tells an error.
func (o *oracle) answer(at time.Time, newest int64) (state map[string]presence.Status, dropped, nothing bool) {
	i := slices.IndexFunc(o.kept, func(s oracleSnapshot) bool { return s.Finished.After(at) })
	last := newest
	if i >= 0 {
		last = o.kept[i].Seq
	} else {
		i = len(o.kept)
	}
	if i == 0 && o.pruned > 0 {
		return nil, false, true
	}
	var base oracleSnapshot
	if i > 0 {
		base = o.kept[i-1]
		if o.pruned > base.Seq && last > base.Seq {
			return maps.Clone(base.state), true, false
		}
	}
	state, nothing = map[string]presence.Status{}, i == 0
	for _, m := range o.moments {
		if !m.at.After(at) {
			state = m.state
			nothing = nothing && !slices.ContainsFunc(m.changed, func(u presence.User) bool { return !o.erased[u.ID] })
		}
	}
	state = maps.Clone(state)
	for id := range o.erased { // events no longer tell of them; a snapshot does
		delete(state, id)
		if status, known := base.state[id]; known {
			state[id] = status
		}
	}
	return state, false, nothing
}

// A random past is written through the real lease, and partly thinned, dropped
// and erased again; the state at any time is that of the oracle.
func TestStateAtRandomTimes(t *testing.T) {
	t.Parallel()
	pool, _ := migrated(t)
	app := uint32(0)
	rapid.Check(t, func(r *rapid.T) {
		app++
		s := newScribe(t, pool, app, "a", "b", "c", "d", "e")
		defer s.release()
		o := &oracle{erased: map[string]bool{}}
		clock := time.Date(2026, 1, 5, 12, 0, 0, 0, time.UTC)
		begin := clock
		for range rapid.IntRange(0, 25).Draw(r, "steps") {
			clock = clock.Add(time.Duration(rapid.IntRange(0, 2).Draw(r, "seconds")) * time.Second)
			if rapid.IntRange(0, 3).Draw(r, "sweep ends") == 0 {
				o.kept = append(o.kept, oracleSnapshot{s.sweeps(clock), s.told()})
				continue
			}
			who := rapid.SliceOfNDistinct(rapid.SampledFrom(s.users), 1, 3, func(u presence.User) uint32 { return u.No }).Draw(r, "who")
			status := rapid.SampledFrom([]presence.Status{presence.Unknown, presence.Offline, presence.Online}).Draw(r, "status")
			changed := slices.DeleteFunc(who, func(u presence.User) bool { return s.now.Status(u.No) == status })
			seen, confirmed := clock, time.Time{}
			if rapid.Bool().Draw(r, "held back, or stale") {
				confirmed = clock
				if status != presence.Unknown {
					seen = clock.Add(-time.Duration(rapid.IntRange(0, 3).Draw(r, "for")) * time.Second)
				}
			}
			s.tells(seen, confirmed, status, changed...)
			o.moments = append(o.moments, oracleMoment{clock, seen, s.told(), changed})
		}
		o.damage(r, s)
		for range 6 {
			at := begin.Add(time.Duration(rapid.IntRange(-2, 2*60).Draw(r, "half seconds")) * time.Second / 2)
			o.check(r, pool, s, at)
		}
	})
}

// damage does what time and people do to a past.
func (o *oracle) damage(r *rapid.T, s *scribe) {
	o.kept = slices.DeleteFunc(o.kept, func(k oracleSnapshot) bool {
		thin := rapid.IntRange(0, 3).Draw(r, "thin") == 0
		if thin {
			s.exec(`delete from snapshots where app_id = $1 and sweep = $2`, s.app, k.Sweep)
		}
		return thin
	})
	if rapid.IntRange(0, 2).Draw(r, "drop") == 0 {
		o.pruned = rapid.Int64Range(0, s.seq).Draw(r, "dropped")
		s.exec(`delete from transitions where app_id = $1 and seq <= $2`, s.app, o.pruned)
		s.exec(`update apps set pruned_seq = $2 where app_id = $1`, s.app, o.pruned)
	}
	for _, u := range s.users[:2] {
		if rapid.IntRange(0, 4).Draw(r, "erase") == 0 {
			s.forgets(u)
			o.erased[u.ID] = true
		}
	}
}

func (o *oracle) check(r *rapid.T, pool *pgxpool.Pool, s *scribe, at time.Time) {
	want, dropped, nothing := o.answer(at, s.seq)
	state, l := newReading(s.app, at, nil, false), ledger.New(pool, s.app, zerolog.Nop())
	err := l.View(s.t.Context(), func(p *ledger.Past) error { return state.read(s.t.Context(), p) })
	if nothing {
		if err == nil || !strings.Contains(err.Error(), "nothing is recorded") {
			r.Fatalf("at %s: %v, want a refusal", at, err)
		}
		return
	}
	if err != nil || state.dropped != dropped {
		r.Fatalf("at %s: dropped %t, want %t: %v", at, state.dropped, dropped, err)
	}
	erased := 0
	for id := range o.erased {
		if _, known := want[id]; known {
			delete(want, id)
			erased++
		}
	}
	got := map[string]presence.Status{}
	for row := range state.rows() {
		got[row.id] = row.status
	}
	if diff := cmp.Diff(want, got); diff != "" || state.counts.Erased != erased {
		r.Fatalf("at %s: %d erased, want %d (-want +got):\n%s", at, state.counts.Erased, erased, diff)
	}
	some := newReading(s.app, at, []string{"a", "c"}, false)
	if err := l.View(s.t.Context(), func(p *ledger.Past) error { return some.read(s.t.Context(), p) }); err != nil {
		r.Fatal(err)
	}
	for row := range some.rows() {
		if row.status != want[row.id] {
			r.Fatalf("at %s: --user %s is %s, want %s", at, row.id, row.status, want[row.id])
		}
		o.checkCause(r, some, row)
	}
}

// checkCause wants the last change of a user, where it has not been dropped.
func (o *oracle) checkCause(r *rapid.T, state *reading, row userState) {
	since, seq := state.cause(row)
	var last time.Time
	for _, m := range o.moments {
		if !m.at.After(state.at) && slices.ContainsFunc(m.changed, func(u presence.User) bool { return u.ID == row.id }) {
			last = m.seen
		}
	}
	switch {
	case since != nil && (!since.Equal(last) || seq <= o.pruned || state.dropped):
		r.Fatalf("at %s: --user %s is %s since %s by event %d, want %s", state.at, row.id, row.status, since, seq, last)
	case since == nil && o.pruned == 0 && !o.erased[row.id] && !last.IsZero():
		r.Fatalf("at %s: nothing has brought %s of --user %s, want that of %s", state.at, row.status, row.id, last)
	}
}

// told is the state as the scribe has told it.
func (s *scribe) told() map[string]presence.Status {
	state := map[string]presence.Status{}
	for _, u := range s.users {
		if status := s.now.Status(u.No); status != presence.Unknown {
			state[u.ID] = status
		}
	}
	return state
}
