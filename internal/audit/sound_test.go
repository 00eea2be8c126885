package audit_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"

	"github.com/zim-presence/poller/internal/diff"
	"github.com/zim-presence/poller/internal/ledger"
	"github.com/zim-presence/poller/internal/local/localtest"
	"github.com/zim-presence/poller/internal/relay"
	"github.com/zim-presence/poller/internal/stream"
	"github.com/zim-presence/poller/migrations"
	"github.com/zim-presence/poller/presence"
)

const (
	crowd  = 300
	sweeps = 16
	front  = 5        // events behind the gap the stream begins
	mover  = "user 7" // goes and comes with every sweep
	erased = "user 8"
	absent = "user 9" // leaves the watchlist, and comes back

	// What becomes of these when holds are configured in the end.
	lasting = "user 21" // what was held back was confirmed
	fickle  = "user 22" // waits to be confirmed
	quiet   = "user 23" // has gone stale
	left    = "user 24" // has gone stale, and left
	again   = "user 25" // has gone stale, and come back
)

// past is a world with everything in it that is no damage: misses, removals and
// returns, a beginning that was dropped for its age, a gap that an adoption
// accepted, a user who was erased, two partitions, a stream that has lost its
// front, and, behind the last sweep, changes that were held back and users who went
// stale. It is copied for each test.
type past struct {
	t      *testing.T
	dsn    string
	admin  string // of another database, from which that one is copied
	store  string // of NATS
	sound  *localtest.NATSServer
	pruned int64
	gap    [2]int64
	day    int64 // the newest event of the older partition
	last   int64
	holes  []int64 // events that were erased
	sweep  map[int64]int64
}

func newPast(t *testing.T) *past {
	p := &past{t: t, dsn: localtest.Postgres(t), admin: localtest.Postgres(t), sound: localtest.NATS(t), store: t.TempDir(), sweep: map[int64]int64{}}
	_, err := migrations.Up(t.Context(), p.dsn)
	must(t, err)
	pool, err := pgxpool.New(t.Context(), p.dsn)
	must(t, err)
	nc, err := nats.Connect(p.sound.URL())
	must(t, err)
	defer nc.Close()
	s, err := stream.New(nc, stream.Config{AppID: app, MaxAge: 24 * time.Hour, Replicas: 1}, zerolog.Nop())
	must(t, err)
	book := ledger.New(pool, app, zerolog.Nop())
	p.live(book)
	p.tell(book, s)
	js, err := jetstream.New(nc)
	must(t, err)
	p.age(pool, js)
	p.forget(pool, js, s)
	pool.Close()
	p.sound.Stop()
	must(t, os.CopyFS(p.store, os.DirFS(p.sound.StoreDir())))
	p.sound.Start()
	return p
}

// live has the crowd come and go.
func (p *past) live(book *ledger.Ledger) {
	t, ctx := p.t, p.t.Context()
	must(t, book.EnsurePartitions(ctx))
	lease, err := book.TryAcquire(ctx, ledger.Terms{Owner: "test", TTL: time.Hour, Window: time.Second})
	must(t, err)
	defer func() { must(t, lease.Release(context.WithoutCancel(ctx), time.Time{})) }()
	ids := make([]string, crowd)
	for i := range ids {
		ids[i] = "user " + strconv.Itoa(i)
	}
	memory := diff.New(0)
	dice := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // the same world each time
	online := map[string]bool{}
	at := presence.Instant(time.Now().Add(-3 * time.Hour))
	for sweep := int64(1); sweep <= sweeps; sweep++ {
		at = at.Add(time.Minute)
		watched := slices.DeleteFunc(slices.Clone(ids), func(id string) bool { return id == absent && sweep >= 8 && sweep < 11 })
		memory.BeginWatchlist()
		var fresh []string
		for _, id := range watched {
			if !memory.Mark([]byte(id)) {
				fresh = append(fresh, id)
			}
		}
		states, err := lease.Enroll(ctx, fresh)
		must(t, err)
		for _, s := range states {
			memory.Add(s, time.Time{})
		}
		memory.EndWatchlist(at, sweep)
		snapshot := presence.Snapshot{Sweep: sweep, Started: at, Watched: memory.Len(), Requests: 3}
		answer := presence.Answer{AskedAt: at.Add(time.Second), At: at.Add(2 * time.Second)}
		n := 0
		for u := range memory.Users() {
			switch {
			case sweep == 5: // what an adoption will not find: some go
				online[u.ID] = online[u.ID] && u.No%10 != 3
			case sweep == 6: // and come again
				online[u.ID] = online[u.ID] || u.No%10 == 3
			case sweep == 4 && u.No%10 == 3:
				online[u.ID] = true
			case u.ID == mover || u.ID == erased || sweep > 6 && u.No%10 == 3 && sweep == 7+int64(u.No/10%8):
				online[u.ID] = !online[u.ID]
			case u.No%10 != 3:
				online[u.ID] = online[u.ID] != (dice.IntN(6) == 0)
			}
			if dice.IntN(20) == 0 && sweep > 1 && sweep != 4 && sweep != 5 && sweep != 6 && u.No%10 != 3 && u.ID != mover && u.ID != erased {
				snapshot.Missed = append(snapshot.Missed, u.No)
				answer.Missed = append(answer.Missed, presence.Miss{User: u, Reason: presence.MissFailed})
				continue
			}
			o := presence.Observation{User: u, Status: presence.Online}
			if !online[u.ID] {
				o.Status, o.Detail = presence.Offline, presence.Timeout
			}
			answer.Observations = append(answer.Observations, o)
			n++
		}
		memory.Observe(answer, sweep)
		changes := memory.Take()
		must(t, lease.Commit(ctx, changes, sweep))
		slices.Sort(snapshot.Missed)
		snapshot.Finished, snapshot.Seen, snapshot.Transitions, snapshot.Seq = at.Add(3*time.Second), n, len(changes.Transitions), memory.LastSeq()
		snapshot.Online, snapshot.Known, err = memory.Bitmaps()
		must(t, err)
		must(t, lease.SaveSnapshot(ctx, snapshot))
		p.sweep[sweep] = memory.LastSeq()
	}
	p.hold(lease, memory, at)
	p.last = memory.LastSeq()
}

// tell has the relay tell everything.
func (p *past) tell(book *ledger.Ledger, s *stream.Stream) {
	ctx, cancel := context.WithCancel(p.t.Context())
	told := make(chan int64, 1)
	done := make(chan struct{})
	r := &relay.Relay{
		App: app, Ledger: book, Cursors: book, Stream: s, Woken: make(chan struct{}), Log: zerolog.Nop(),
		Behind: func(events int64, _ time.Time) {
			if events == 0 {
				select {
				case told <- 0:
				default:
				}
			}
		},
	}
	go func() { defer close(done); r.Run(ctx) }()
	select {
	case <-told:
	case <-time.After(2 * time.Minute):
		p.t.Error("the relay does not tell")
	}
	cancel()
	<-done
}

// age makes an old world of it: a day has passed behind the third sweep, what is
// older than the second was dropped, an adoption went on without the fifth and the
// sixth, and the stream begins behind it.
func (p *past) age(pool *pgxpool.Pool, js jetstream.JetStream) {
	t := p.t
	p.pruned, p.day, p.gap = p.sweep[1]+20, p.sweep[3], [2]int64{p.sweep[4] + 1, p.sweep[6]}
	day := time.Now().UTC().AddDate(0, 0, -1).Truncate(24 * time.Hour)
	for _, sql := range []string{
		fmt.Sprintf(`create table transitions_old partition of transitions for values from ('%s') to ('%s')`,
			day.Format(time.RFC3339), day.AddDate(0, 0, 1).Format(time.RFC3339)),
		fmt.Sprintf(`update transitions set recorded_at = recorded_at - interval '1 day' where seq <= %d`, p.day),
		fmt.Sprintf(`delete from transitions where seq <= %d`, p.pruned),
		fmt.Sprintf(`update apps set pruned_seq = %d, pruned_until = now() - interval '2 days'`, p.pruned),
		fmt.Sprintf(`delete from transitions where seq between %d and %d`, p.gap[0], p.gap[1]),
		fmt.Sprintf(`delete from snapshots where seq between %d and %d`, p.gap[0], p.gap[1]),
		fmt.Sprintf(`insert into gaps (app_id, first_seq, last_seq) values (%d, %d, %d)`, uint32(app), p.gap[0], p.gap[1]),
	} {
		execute(t, pool, sql)
	}
	execute(t, pool, `update relay_cursors set told_seq = $1, stream_seq = $1, recorded_at = now()`, p.last)
	bucket, err := js.Stream(t.Context(), "KV_presence_"+strconv.Itoa(app))
	must(t, err)
	for bucket.CachedInfo().State.LastSeq < uint64(p.last) {
		_, err := bucket.Info(t.Context())
		must(t, err)
	}
	s, err := js.Stream(t.Context(), "PRESENCE_"+strconv.Itoa(app))
	must(t, err)
	must(t, s.Purge(t.Context(), jetstream.WithPurgeSequence(uint64(p.gap[1])+front)))
}

// forget erases a user, as it is done when it goes well.
func (p *past) forget(pool *pgxpool.Pool, js jetstream.JetStream, s *stream.Stream) {
	t, ctx := p.t, p.t.Context()
	rows, err := pool.Query(ctx, `select seq from transitions where user_id = $1 order by seq`, erased)
	must(t, err)
	for rows.Next() {
		var seq int64
		must(t, rows.Scan(&seq))
		p.holes = append(p.holes, seq)
	}
	must(t, rows.Err())
	if len(p.holes) < 12 || p.holes[len(p.holes)-1] == p.last {
		t.Fatalf("the events %v of %q are no good example", p.holes, erased)
	}
	execute(t, pool, `insert into erasures (app_id, user_no, events) select app_id, user_no, $1 from user_states where user_id = $2`, len(p.holes), erased)
	execute(t, pool, `delete from user_states where user_id = $1`, erased)
	execute(t, pool, `
		update transitions
		   set user_no = 0, user_id = '', kind = 'erased', from_status = 'unknown', to_status = 'unknown', detail = '', after = null,
		       observed_at = recorded_at, prev_seq = 0
		 where user_id = $1`, erased)
	_, err = s.EnsureControl(ctx)
	must(t, err)
	must(t, s.TellErased(ctx, presence.SeqSetOf(p.holes...), time.Now()))
	events, err := js.Stream(ctx, "PRESENCE_"+strconv.Itoa(app))
	must(t, err)
	told := slices.DeleteFunc(slices.Clone(p.holes), func(seq int64) bool { return seq < p.gap[1]+front })
	for _, seq := range told[1:] { // the first could not be removed
		must(t, events.SecureDeleteMsg(ctx, uint64(seq)))
	}
	bucket, err := js.Stream(ctx, "KV_presence_"+strconv.Itoa(app))
	must(t, err)
	must(t, bucket.Purge(ctx, jetstream.WithPurgeSubject("$KV.presence_"+strconv.Itoa(app)+"."+presence.EncodeUser(erased))))
}

func execute(t *testing.T, pool *pgxpool.Pool, sql string, args ...any) {
	t.Helper()
	if tag, err := pool.Exec(t.Context(), sql, args...); err != nil || tag.RowsAffected() == 0 && (tag.Update() || tag.Delete()) {
		t.Fatalf("%s: %v, %v", sql, tag, err)
	}
}
