package main

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/zim-presence/poller/internal/past"
	"github.com/zim-presence/poller/presence"
)

// BenchmarkState prints what poller state takes from its start to its last byte,
// for 1,000,000 users, 15 % of them online, and 100,000 events behind the
// snapshot.
func BenchmarkState(b *testing.B) {
	pool, dsn := migrated(b)
	longPast(b, pool, 1_000_000, 100_000)
	for _, args := range [][]string{{"-o", "csv"}, {"-o", "json"}, {"-o", "count"}, {"-o", "csv", "--online"}, {"--user", "user-000777"}} {
		b.Run(fmt.Sprint(args), func(b *testing.B) {
			environ := []string{"POLLER_DATABASE_URL=" + dsn, "POLLER_ZIM_APP_ID=7"}
			for b.Loop() {
				var said bytes.Buffer
				if code := execute(b.Context(), append([]string{"state"}, args...), environ, io.Discard, &said); code != 0 {
					b.Fatal(said.String())
				}
			}
			b.ReportMetric(b.Elapsed().Seconds()/float64(b.N), "s(target<2)")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// longPast writes the state of many users, a snapshot of them, and events behind
// it.
func longPast(b *testing.B, pool *pgxpool.Pool, users, events int) {
	s := newScribe(b, pool, 7)
	defer s.release()
	s.exec(`insert into user_states (app_id, user_no, user_id, status, since, observed_at, asked_at, last_seq)
		select 7, n, 'user-' || lpad(n::text, 7, '0'), 'offline', now(), now(), now(), n from generate_series(1, $1::int) n`, users)
	dice := rand.New(rand.NewPCG(1, 2))
	s.now = past.New()
	for no := uint32(1); no <= uint32(users); no++ {
		s.now.Set(no, presence.Offline)
		if dice.IntN(100) < 15 {
			s.now.Set(no, presence.Online)
		}
	}
	s.sweeps(time.Now().Add(-time.Minute))
	s.exec(`insert into transitions (app_id, seq, user_no, user_id, kind, from_status, to_status, detail, after, observed_at, prev_seq,
		                             sweep, log, encoding, recorded_at)
		select 7, n, no, 'user-' || lpad(no::text, 7, '0'), 'online', 'offline', 'online', '', now() - interval '1 minute',
		       now() - interval '30 seconds', 0, 2, 'abcdef01', 1, now()
		  from (select n, (n * 7919::bigint % $1)::int + 1 as no from generate_series(1, $2::int) n) e`, users, events)
	s.exec(`update apps set last_seq = $1 where app_id = 7`, events)
	s.exec(`vacuum analyze user_states, transitions`)
}
