package audit_test

import (
	"strconv"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"

	"github.com/zim-presence/poller/internal/audit"
	"github.com/zim-presence/poller/internal/diff"
	"github.com/zim-presence/poller/internal/ledger"
	"github.com/zim-presence/poller/internal/local/localtest"
	"github.com/zim-presence/poller/internal/stream"
	"github.com/zim-presence/poller/migrations"
	"github.com/zim-presence/poller/presence"
)

// BenchmarkAudit looks at 50,000 users who came or went ten times each.
func BenchmarkAudit(b *testing.B) {
	const users, rounds = 50_000, 10
	dsn := localtest.Postgres(b)
	if _, err := migrations.Up(b.Context(), dsn); err != nil {
		b.Fatal(err)
	}
	pool, err := pgxpool.New(b.Context(), dsn)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(pool.Close)
	nc, err := nats.Connect(localtest.NATS(b).URL())
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		b.Fatal(err)
	}
	if err := crowded(b, pool, nc, users, rounds); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		r, err := audit.Audit{DB: pool, JS: js, App: app, Live: true, Patience: time.Minute}.Run(b.Context())
		if err != nil || !r.Sound() || r.Events != users*rounds || r.Messages != users*rounds || r.Entries != users {
			b.Fatalf("looked at %+v, %v", r, err)
		}
	}
	b.ReportMetric(users*rounds*float64(b.N)/b.Elapsed().Seconds(), "events/s")
}

// crowded records and tells rounds in which everybody changes.
func crowded(b *testing.B, pool *pgxpool.Pool, nc *nats.Conn, users, rounds int) error {
	ctx := b.Context()
	s, err := stream.New(nc, stream.Config{AppID: app, Replicas: 1}, zerolog.Nop())
	if err != nil {
		return err
	}
	if _, err := s.Ensure(ctx); err != nil {
		return err
	}
	book := ledger.New(pool, app, zerolog.Nop())
	if err := book.EnsurePartitions(ctx); err != nil {
		return err
	}
	lease, err := book.TryAcquire(ctx, ledger.Terms{Owner: "bench", TTL: time.Hour, Window: time.Second})
	if err != nil {
		return err
	}
	memory := diff.New(0)
	for first := 0; first < users; first += 5000 {
		ids := make([]string, 5000)
		for i := range ids {
			ids[i] = "user-" + strconv.Itoa(first+i)
		}
		states, err := lease.Enroll(ctx, ids)
		if err != nil {
			return err
		}
		for _, state := range states {
			memory.Add(state, time.Time{})
		}
	}
	cursor := presence.Cursor{}
	for sweep := int64(1); sweep <= int64(rounds); sweep++ {
		at := presence.Instant(time.Now())
		a := presence.Answer{AskedAt: at, At: at}
		commit := func() error {
			memory.Observe(a, sweep)
			a.Observations = a.Observations[:0]
			return lease.Commit(ctx, memory.Take(), sweep)
		}
		for u := range memory.Users() {
			a.Observations = append(a.Observations, presence.Observation{User: u, Status: presence.Offline + presence.Status(sweep%2)})
			if len(a.Observations) == 5000 {
				if err := commit(); err != nil {
					return err
				}
			}
		}
		snapshot := presence.Snapshot{Sweep: sweep, Started: at, Finished: at, Seq: memory.LastSeq(), Watched: users, Seen: users, Transitions: users}
		if snapshot.Online, snapshot.Known, err = memory.Bitmaps(); err != nil {
			return err
		}
		if err := lease.SaveSnapshot(ctx, snapshot); err != nil {
			return err
		}
		for cursor.Seq < memory.LastSeq() {
			events, err := book.After(ctx, cursor, 2000)
			if err != nil {
				return err
			}
			if _, err := s.Append(ctx, uint64(cursor.Seq), events, nil); err != nil {
				return err
			}
			last := &events[len(events)-1]
			cursor.Seq, cursor.RecordedAt = last.Seq, last.RecordedAt
		}
	}
	return lease.Release(ctx, time.Time{})
}
