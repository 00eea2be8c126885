package audit_test

import (
	"context"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"

	"github.com/zim-presence/poller/internal/audit"
	"github.com/zim-presence/poller/internal/diff"
	"github.com/zim-presence/poller/internal/ledger"
	"github.com/zim-presence/poller/internal/relay"
	"github.com/zim-presence/poller/internal/stream"
	"github.com/zim-presence/poller/presence"
)

// While the program records and tells, nothing is found, whenever one looks.
func TestBesideARunningProgram(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.publish(w.messages()...)
	nc, err := nats.Connect(w.js.Conn().ConnectedUrl())
	must(t, err)
	defer nc.Close()
	s, err := stream.New(nc, stream.Config{AppID: app, MaxAge: time.Hour, Replicas: 1}, zerolog.Nop())
	must(t, err)
	book := ledger.New(w.pool, app, zerolog.Nop())
	ctx, stop := context.WithCancel(t.Context())
	woken := make(chan struct{}, 1)
	r := &relay.Relay{App: app, Ledger: book, Cursors: book, Stream: s, Woken: woken, Log: zerolog.Nop()}
	var wg sync.WaitGroup
	wg.Go(func() { r.Run(ctx) })
	wg.Go(func() {
		if err := flips(ctx, book, woken); err != nil {
			t.Error(err)
		}
	})
	begun, seen := 0, 0
	for looks := 0; looks < 15 || seen < begun+300; looks++ {
		got := w.run(audit.Audit{Live: true, Patience: 2 * time.Minute})
		if !got.Sound() {
			t.Fatalf("look %d: %v", looks, got.Findings)
		}
		if seen = got.Events; looks == 0 {
			begun = seen
		}
	}
	stop()
	wg.Wait()
}

// flips commits sweep after sweep in which users come and go, until ctx ends.
func flips(ctx context.Context, book *ledger.Ledger, woken chan<- struct{}) error {
	lease, err := book.TryAcquire(ctx, ledger.Terms{Owner: "test", TTL: time.Hour, Window: time.Second})
	if err != nil {
		return err
	}
	memory := diff.New(lease.LastSeq())
	if err := lease.Load(ctx, func(u ledger.Loaded) error { memory.Add(u.State, u.Seen); return nil }); err != nil {
		return err
	}
	work := context.WithoutCancel(ctx)
	for sweep := lease.LastSweep() + 1; ctx.Err() == nil; sweep++ {
		at := presence.Instant(time.Now())
		ids := make([]string, 0, 4)
		for n := range int64(4) {
			ids = append(ids, "user "+strconv.FormatInt((sweep/3*4+n)%40, 10))
		}
		memory.BeginWatchlist()
		var fresh []string
		for _, id := range ids {
			if !memory.Mark([]byte(id)) {
				fresh = append(fresh, id)
			}
		}
		states, err := lease.Enroll(work, fresh)
		if err != nil {
			return err
		}
		for _, s := range states {
			memory.Add(s, time.Time{})
		}
		memory.EndWatchlist(at, sweep)
		a := presence.Answer{AskedAt: at, At: at}
		for u := range memory.Users() {
			a.Observations = append(a.Observations, presence.Observation{User: u, Status: presence.Offline + presence.Status(sweep%2)})
		}
		memory.Observe(a, sweep)
		changes := memory.Take()
		if err := lease.Commit(work, changes, sweep); err != nil {
			return err
		}
		select {
		case woken <- struct{}{}:
		default:
		}
		snapshot := presence.Snapshot{Sweep: sweep, Started: at, Finished: at, Seq: memory.LastSeq(), Watched: memory.Len(), Seen: memory.Len(),
			Transitions: len(changes.Transitions)}
		if snapshot.Online, snapshot.Known, err = memory.Bitmaps(); err != nil {
			return err
		}
		if err := lease.SaveSnapshot(work, snapshot); err != nil {
			return err
		}
	}
	return lease.Release(work, time.Time{})
}

// A user who is erased, and events that come, after the database was read are no
// damage: the streams are another then.
func TestErasedMeanwhile(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.publish(w.messages()...)
	w.bucketFollows(6)
	ctx := t.Context()
	s, err := stream.New(w.js.Conn(), stream.Config{AppID: app, MaxAge: time.Hour, Replicas: 1}, zerolog.Nop())
	must(t, err)
	bucket, err := w.js.Stream(ctx, "KV_presence_"+strconv.Itoa(app))
	must(t, err)
	w.exec(`insert into relay_cursors (app_id, told_seq, stream_seq, stream_created, recorded_at, bucket_created) values ($1, 6, 6, now(), now(), $2)`,
		app, bucket.CachedInfo().Created)
	var once sync.Once
	erase := func(string) []audit.Change {
		once.Do(func() {
			w.exec(`insert into erasures (app_id, user_no, events) select app_id, user_no, 3 from user_states where app_id = $1 and user_id = 'alice'`, app)
			w.exec(`delete from user_states where app_id = $1 and user_id = 'alice'`, app)
			w.exec(`
				update transitions
				   set user_no = 0, user_id = '', kind = 'erased', from_status = 'unknown', to_status = 'unknown', detail = '', after = null,
				       observed_at = recorded_at, prev_seq = 0
				 where app_id = $1 and user_id = 'alice'`, app)
			_, err := s.EnsureControl(ctx)
			must(t, err)
			must(t, s.TellErased(ctx, presence.SeqSetOf(1, 4, 5), time.Now()))
			events, err := w.js.Stream(ctx, "PRESENCE_"+strconv.Itoa(app))
			must(t, err)
			for _, seq := range []uint64{1, 4, 5} {
				must(t, events.DeleteMsg(ctx, seq))
			}
			must(t, bucket.Purge(ctx, jetstream.WithPurgeSubject("$KV.presence_"+strconv.Itoa(app)+".alice")))
		})
		return []audit.Change{{At: w.events[0].ObservedAt, To: presence.Online}, {At: w.events[0].ObservedAt, To: presence.Offline}}
	}
	look := func(when string, erased int) {
		t.Helper()
		r := w.run(audit.Audit{Live: true, Changes: erase, Slack: 1000 * time.Hour})
		if !r.Sound() || r.Erased != erased || r.Untold != 0 || r.Standing != 0 {
			t.Errorf("%s: %d erased, want %d; %d untold, %d standing; found %v", when, r.Erased, erased, r.Untold, r.Standing, r.Findings)
		}
	}
	look("meanwhile", 0)
	look("then", 3)
	// An event that is told as erased, and stays in the bucket when the ledger has dropped it.
	w.exec(`
		with moved as (update apps set last_seq = 7 where app_id = $1 returning app_id, last_sweep, log, last_recorded_at)
		insert into transitions (app_id, seq, user_no, user_id, kind, from_status, to_status, detail, observed_at, prev_seq, sweep, log, encoding, recorded_at)
		select app_id, 7, 0, '', 'erased', 'unknown', 'unknown', '', last_recorded_at, 0, last_sweep, log, 1, last_recorded_at from moved`, app)
	events, err := ledger.New(w.pool, app, zerolog.Nop()).After(ctx, presence.Cursor{Seq: 6}, 1)
	must(t, err)
	_, err = s.Append(ctx, 6, events, nil)
	must(t, err)
	w.bucketFollows(7)
	look("with a full stop", 4)
	w.exec(`delete from transitions where app_id = $1`, app)
	w.exec(`update apps set pruned_seq = 7 where app_id = $1`, app)
	look("when all was dropped", 0)
}

// What the stream does not have yet is counted, and no more; in a world that came to
// rest it is lost. A user of whom all is untold is not missing in the bucket.
func TestUntold(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.publish(w.messages()[:2]...)
	w.bucketFollows(2)
	if r := w.run(audit.Audit{Live: true}); !r.Sound() || r.Untold != 4 || r.Messages != 2 {
		t.Errorf("%d untold, %d messages, found %v; want 4 untold and 2 messages", r.Untold, r.Messages, r.Findings)
	}
	if r := w.run(audit.Audit{}); r.Count[audit.Lost] != 4 {
		t.Errorf("at rest: found %v, want 4 events lost", r.Findings)
	}
}

// A bucket that was made anew lacks who has no event in the stream any more, until
// the program has seen to it.
func TestBucketMadeAnew(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.publish(w.messages()...)
	w.bucketFollows(6)
	ctx := t.Context()
	bucket, err := w.js.Stream(ctx, "KV_presence_"+strconv.Itoa(app))
	must(t, err)
	must(t, bucket.Purge(ctx, jetstream.WithPurgeSubject("$KV.presence_"+strconv.Itoa(app)+"."+presence.EncodeUser("b.b"))))
	events, err := w.js.Stream(ctx, "PRESENCE_"+strconv.Itoa(app))
	must(t, err)
	if r := w.run(audit.Audit{Live: true}); r.Count[audit.Bucket] != 1 || len(r.Count) != 1 {
		t.Errorf("a key that the stream could fill is gone: found %v", r.Findings)
	}
	must(t, events.Purge(ctx, jetstream.WithPurgeSequence(4)))
	if r := w.run(audit.Audit{Live: true}); !r.Sound() || r.Awaited != 1 {
		t.Errorf("a key that the stream cannot fill is gone: %d awaited, found %v; want 1 awaited", r.Awaited, r.Findings)
	}
	w.exec(`insert into relay_cursors (app_id, told_seq, stream_seq, stream_created, recorded_at, bucket_created) values ($1, 6, 6, $2, now(), $3)`,
		app, events.CachedInfo().Created, bucket.CachedInfo().Created)
	if r := w.run(audit.Audit{Live: true}); r.Count[audit.Bucket] != 1 || len(r.Count) != 1 {
		t.Errorf("a key of a bucket that had everybody is gone: found %v", r.Findings)
	}
}
