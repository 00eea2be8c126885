package ledger

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/zim-presence/poller/presence"
)

func explain(t *testing.T, l *Ledger, user string, limit int) *Explained {
	t.Helper()
	var found *Explained
	err := l.View(t.Context(), func(p *Past) (err error) {
		found, err = p.Explain(t.Context(), user, limit)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// flap lets a user come and go so often, a minute apart, beside another user's events.
func flap(t *testing.T, lease *Lease, u, other presence.User, times int) {
	t.Helper()
	commit(t, lease, baseline(1, u, presence.Offline, morning), 1)
	commit(t, lease, baseline(2, other, presence.Offline, morning), 1)
	last := map[uint32]int64{u.No: 1, other.No: 2}
	at := map[uint32]time.Time{u.No: morning, other.No: morning}
	from := presence.Offline
	for i := range times {
		to := presence.Online
		if i%2 == 1 {
			to = presence.Offline
		}
		for _, who := range []presence.User{u, other} {
			seq, now := lease.LastSeq()+1, at[who.No].Add(time.Minute)
			kind, _ := presence.KindOf(from, to)
			commit(t, lease, presence.Changes{
				Transitions: []presence.Transition{{
					Seq: seq, PrevSeq: last[who.No], User: who, Kind: kind, From: from, To: to, After: at[who.No], ObservedAt: now, Sweep: int64(i + 2),
				}},
				States: []presence.State{{
					User: who, Watched: true, Status: to, Since: now, ObservedAt: now, AskedAt: now.Add(-time.Millisecond), LastSeq: seq,
				}},
			}, int64(i+2))
			last[who.No], at[who.No] = seq, now
		}
		from = to
	}
}

func TestExplain(t *testing.T) {
	l, pool := open(t)
	lease := win(t, l)
	execute(t, pool, `insert into watched_users (app_id, user_id, added_at) values ($1, 'a.b c', $2), ($1, 'bad/id', $2)`, app, morning)
	states := enroll(t, lease, "a.b c", "other")
	u := states["a.b c"].User
	flap(t, lease, u, states["other"].User, 6)
	end := morning.Add(6 * time.Minute)
	for sweep, missed := range [][]uint32{{u.No}, {}, {u.No}, {u.No}} {
		started := end.Add(time.Duration(sweep) * time.Hour)
		err := lease.SaveSnapshot(t.Context(), presence.Snapshot{
			Sweep: int64(10 + sweep), Started: started, Finished: started.Add(time.Minute), Seq: lease.LastSeq(), Watched: 2, Seen: 2 - len(missed), Missed: missed,
			Online: []byte{}, Known: []byte{},
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	got := explain(t, l, "a.b c", 3)
	if !got.Added.Equal(morning) || !got.Known || got.State.User != u || got.State.Status != presence.Offline || got.State.LastSeq != 13 ||
		!got.State.Since.Equal(end) || !got.State.Watched || got.State.Stale {
		t.Errorf("the state is %+v, added %s", got.State, got.Added)
	}
	var seqs []int64
	for i := range got.Events {
		if e, found, err := l.Event(t.Context(), got.Events[i].Seq); err != nil || !found || !cmp.Equal(e, got.Events[i]) {
			t.Errorf("event %d is told as %+v, the ledger has %+v, %v", e.Seq, got.Events[i], e, err)
		}
		seqs = append(seqs, got.Events[i].Seq)
	}
	if !cmp.Equal(seqs, []int64{13, 11, 9}) || !got.Older || got.Dropped {
		t.Errorf("the newest three events are %v, older: %t, dropped: %t", seqs, got.Older, got.Dropped)
	}
	var sweeps string
	for _, s := range got.Sweeps {
		sweeps += fmt.Sprint(s.Sweep, s.Seen, s.Missed, " ")
	}
	if want := "13 1 true 12 1 true 11 2 false 10 1 true "; sweeps != want {
		t.Errorf("the sweeps are %s, want %s", sweeps, want)
	}
	if want := end.Add(time.Hour); !got.Seen.Equal(want) || !got.Seen.Equal(seenInView(t, pool, "a.b c")) {
		t.Errorf("seen at %s, by the view at %s, want %s", got.Seen, seenInView(t, pool, "a.b c"), want)
	}
	if got.Holder.Owner != "test" || got.Holder.Epoch != lease.Epoch() || !got.Holder.Expires.After(time.Now()) || got.Newest != 14 || got.Told.Seq != 0 {
		t.Errorf("held by %+v, newest %d, told %+v", got.Holder, got.Newest, got.Told)
	}
	if all := explain(t, l, "a.b c", 7); len(all.Events) != 7 || all.Older || all.Dropped {
		t.Errorf("all are %d events, older: %t, dropped: %t; want 7 and none", len(all.Events), all.Older, all.Dropped)
	}
}

func seenInView(t *testing.T, pool *pgxpool.Pool, user string) time.Time {
	t.Helper()
	return value[time.Time](t, pool, `select observed_at from presence where app_id = $1 and user_id = $2`, app, user)
}

// What waits, what is stale, what was dropped, and who has no state yet.
func TestExplainOddities(t *testing.T) {
	l, pool := open(t)
	if got := explain(t, l, "nobody", 5); got.Known || !got.Added.IsZero() || got.Held != nil || len(got.Events)+len(got.Sweeps) != 0 || got.Holder.Owner != "" {
		t.Errorf("of nobody in an empty database: %+v", got)
	}
	lease := win(t, l)
	states := enroll(t, lease, "a", "b", "asked in vain")
	flap(t, lease, states["a"].User, states["b"].User, 5)
	execute(t, pool, `insert into watched_users (app_id, user_id) values ($1, 'bad/id')`, app)
	execute(t, pool, `insert into held_changes (app_id, user_no, status, detail, after, seen_at) values ($1, $2, 'offline', 'timeout', $3, $4)`,
		app, states["a"].User.No, morning.Add(2*time.Hour), morning.Add(2*time.Hour+time.Second))
	execute(t, pool, `insert into relay_cursors (app_id, told_seq, stream_seq, stream_created, recorded_at) values ($1, 9, 10, $2, $2)`, app, morning)
	execute(t, pool, `update user_states set stale = true, status = 'unknown' where user_id = 'b'`)
	execute(t, pool, `delete from transitions where seq = 3`)

	got := explain(t, l, "a", 10)
	want := &presence.Held{
		User: states["a"].User, To: presence.Offline, Detail: presence.Timeout, After: morning.Add(2 * time.Hour), SeenAt: morning.Add(2*time.Hour + time.Second),
	}
	if !cmp.Equal(got.Held, want) || !got.Seen.Equal(want.After) || !got.Seen.Equal(seenInView(t, pool, "a")) {
		t.Errorf("held is %+v, seen at %s, by the view at %s; want %+v", got.Held, got.Seen, seenInView(t, pool, "a"), want)
	}
	if len(got.Events) != 4 || got.Older || !got.Dropped {
		t.Errorf("with a row that was dropped: %d events, older: %t, dropped: %t", len(got.Events), got.Older, got.Dropped)
	}
	if got.Told.Seq != 9 || got.Told.StreamSeq != 10 {
		t.Errorf("told is %+v", got.Told)
	}
	if got := explain(t, l, "b", 10); !got.State.Stale || got.State.Status != presence.Unknown || !got.Seen.Equal(seenInView(t, pool, "b")) {
		t.Errorf("of a stale user: %+v, seen at %s", got.State, got.Seen)
	}
	if got := explain(t, l, "asked in vain", 10); !got.Known || got.State.LastSeq != 0 || !got.Seen.IsZero() || len(got.Events) != 0 || got.Dropped {
		t.Errorf("of who was never answered: %+v", got)
	}
	if got := explain(t, l, "bad/id", 10); got.Known || got.Added.IsZero() {
		t.Errorf("of who cannot be asked about: %+v", got)
	}
}
