package audit_test

import (
	"bytes"
	"context"
	"maps"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
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

const app = 4_000_000_001

// world is a ledger of six events of three users, as the doors write it, and
// another app's beside it. Nothing of it is told yet.
type world struct {
	t      *testing.T
	pool   *pgxpool.Pool
	js     jetstream.JetStream
	events []presence.Event
}

func newWorld(t *testing.T) *world {
	w := &world{t: t}
	dsn := localtest.Postgres(t)
	if _, err := migrations.Up(t.Context(), dsn); err != nil {
		t.Fatal(err)
	}
	var err error
	if w.pool, err = pgxpool.New(t.Context(), dsn); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.pool.Close)
	nc, err := nats.Connect(localtest.NATS(t).URL())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	if w.js, err = jetstream.New(nc); err != nil {
		t.Fatal(err)
	}
	w.record(app + 1)
	w.events = w.record(app)
	s, err := stream.New(nc, stream.Config{AppID: app, MaxAge: time.Hour, Replicas: 1}, zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Ensure(t.Context()); err != nil {
		t.Fatal(err)
	}
	return w
}

// record writes an app's ledger: three users come, alice goes and comes again, and
// one leaves the watchlist.
func (w *world) record(app uint32) []presence.Event {
	w.t.Helper()
	ctx := w.t.Context()
	book := ledger.New(w.pool, app, zerolog.Nop())
	must(w.t, book.EnsurePartitions(ctx))
	lease, err := book.TryAcquire(ctx, ledger.Terms{Owner: "test", TTL: time.Minute, Window: time.Second})
	must(w.t, err)
	defer func() { must(w.t, lease.Release(context.WithoutCancel(ctx), time.Time{})) }()
	users := []string{"alice", "b.b", "carol"}
	w.exec(`insert into watched_users (app_id, user_id) select $1, unnest($2::text[])`, int64(app), users[:2])
	states, err := lease.Enroll(ctx, users)
	must(w.t, err)
	memory := diff.New(lease.LastSeq())
	for _, s := range states {
		memory.Add(s, time.Time{})
	}
	at := presence.Instant(time.Now())
	for sweep, alice := range []presence.Status{presence.Online, presence.Offline, presence.Online} {
		a := presence.Answer{AskedAt: at.Add(time.Duration(sweep) * time.Minute), At: at.Add(time.Duration(sweep)*time.Minute + time.Second)}
		for _, s := range states {
			o := presence.Observation{User: s.User, Status: presence.Online}
			if s.User.ID == "alice" && alice == presence.Offline {
				o.Status, o.Detail = presence.Offline, presence.Timeout
			}
			a.Observations = append(a.Observations, o)
		}
		memory.Observe(a, int64(sweep)+1)
		must(w.t, lease.Commit(ctx, memory.Take(), int64(sweep)+1))
	}
	memory.BeginWatchlist()
	for _, user := range users[:2] {
		memory.Mark([]byte(user))
	}
	memory.EndWatchlist(at.Add(time.Hour), 4)
	must(w.t, lease.Commit(ctx, memory.Take(), 4))
	events, err := book.After(ctx, presence.Cursor{}, 100)
	must(w.t, err)
	return events
}

// publish puts messages into the stream as they are, without any condition.
func (w *world) publish(messages ...*nats.Msg) {
	w.t.Helper()
	for _, m := range messages {
		_, err := w.js.PublishMsg(w.t.Context(), m)
		must(w.t, err)
	}
}

// messages are the events as they have to be told.
func (w *world) messages() (all []*nats.Msg) {
	w.t.Helper()
	for _, e := range w.events {
		data, err := e.Data()
		must(w.t, err)
		all = append(all, &nats.Msg{Subject: e.Subject(), Data: data, Header: nats.Header{
			presence.HeaderID: {e.ID()}, presence.HeaderSeq: {strconv.FormatInt(e.Seq, 10)}, presence.HeaderType: {presence.ContentType},
		}})
	}
	return all
}

func (w *world) exec(sql string, args ...any) {
	w.t.Helper()
	if _, err := w.pool.Exec(w.t.Context(), sql, args...); err != nil {
		w.t.Fatalf("%s: %v", sql, err)
	}
}

// truth is how the users stand: online but for carol, who nobody watches.
func truth(string) (presence.Status, presence.Detail, bool) {
	return presence.Online, presence.NoDetail, true
}

func (w *world) run(a audit.Audit) *audit.Report {
	w.t.Helper()
	a.DB, a.JS, a.App = w.pool, w.js, app
	r, err := a.Run(w.t.Context())
	must(w.t, err)
	return r
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestSound(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.publish(w.messages()...)
	r := w.run(audit.Audit{Truth: truth, Patience: time.Minute})
	want := &audit.Report{App: app, First: 1, Last: 6, Events: 6, Messages: 6, Entries: 3, Users: 3, Watched: 2, Held: 2, Count: map[audit.Kind]int{}}
	if d := cmp.Diff(r, want); d != "" || !r.Sound() {
		t.Errorf("a sound world: %s", d)
	}
}

// Whatever is broken is found, and named by its kind.
func TestFindings(t *testing.T) {
	again := func(m *nats.Msg, seq string) *nats.Msg {
		m.Header = maps.Clone(m.Header)
		m.Header.Set(presence.HeaderID, "another")
		m.Header.Set(presence.HeaderSeq, seq)
		return m
	}
	for _, c := range []struct {
		name string
		told func(all []*nats.Msg) []*nats.Msg // nil: as they are
		sql  string                            // run at the end
		bare bool                              // the bucket is looked at in vain
		want []audit.Kind
	}{
		{name: "the last event is not told", want: []audit.Kind{audit.Lost}, bare: true,
			told: func(all []*nats.Msg) []*nats.Msg { return all[:5] }},
		{name: "an event in the middle is not told", want: []audit.Kind{audit.Lost},
			told: func(all []*nats.Msg) []*nats.Msg { return slices.Delete(all, 3, 4) }},
		{name: "an event is told twice", want: []audit.Kind{audit.Doubled},
			told: func(all []*nats.Msg) []*nats.Msg { return slices.Insert(all, 1, again(clone(all[0]), "1")) }},
		{name: "two events have changed places", want: []audit.Kind{audit.Reordered},
			told: func(all []*nats.Msg) []*nats.Msg { all[1], all[2] = all[2], all[1]; return all }},
		{name: "a byte is another", want: []audit.Kind{audit.Altered}, told: func(all []*nats.Msg) []*nats.Msg {
			all[0].Data = bytes.Replace(all[0].Data, []byte(`"sweep":1`), []byte(`"sweep":2`), 1)
			return all
		}},
		{name: "a header is another", want: []audit.Kind{audit.Altered}, told: func(all []*nats.Msg) []*nats.Msg {
			all[0].Header.Set(presence.HeaderType, "text/plain")
			return all
		}},
		{name: "somebody else's message", want: []audit.Kind{audit.Foreign}, told: func(all []*nats.Msg) []*nats.Msg {
			return slices.Insert(all, 2, &nats.Msg{Subject: all[0].Subject, Data: []byte("hello")})
		}},
		{name: "an event that the ledger does not have", want: []audit.Kind{audit.Foreign}, told: func(all []*nats.Msg) []*nats.Msg {
			return slices.Insert(all, 2, again(clone(all[0]), "7"))
		}},
		{name: "a row is gone", want: []audit.Kind{audit.Ledger}, sql: `delete from transitions where app_id = $1 and seq = 4`},
		{name: "the last row is gone", want: []audit.Kind{audit.Ledger},
			sql: `delete from transitions where app_id = $1 and seq = 6`},
		{name: "a row is there twice", want: []audit.Kind{audit.Ledger}, sql: `
			insert into transitions select app_id, seq, user_no, user_id, kind, from_status, to_status, detail, after, observed_at, prev_seq,
			       sweep, log, encoding, recorded_at + interval '1 microsecond' from transitions where app_id = $1 and seq = 6`},
		{name: "a chain is broken", want: []audit.Kind{audit.Altered, audit.Chain}, sql: `update transitions set prev_seq = 2 where app_id = $1 and seq = 4`},
		{name: "the app counts otherwise", want: []audit.Kind{audit.Ledger}, sql: `update apps set last_seq = 7 where app_id = $1`},
		{name: "a state is another", want: []audit.Kind{audit.State, audit.Truth},
			sql: `update user_states set status = 'offline' where app_id = $1 and user_id = 'alice'`},
		{name: "a state is of another event", want: []audit.Kind{audit.State},
			sql: `update user_states set last_seq = 4 where app_id = $1 and user_id = 'alice'`},
		{name: "a state is since another time", want: []audit.Kind{audit.State},
			sql: `update user_states set since = since - interval '1 second' where app_id = $1 and user_id = 'alice'`},
		{name: "a state is gone", want: []audit.Kind{audit.State}, sql: `delete from user_states where app_id = $1 and user_id = 'alice'`},
		{name: "a removal was not noticed", want: []audit.Kind{audit.State}, sql: `delete from watched_users where app_id = $1 and user_id = 'alice'`},
		{name: "a detail is another", want: []audit.Kind{audit.Truth},
			sql: `update user_states set detail = 'timeout' where app_id = $1 and user_id = 'alice'`},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			told := w.messages()
			if c.told != nil {
				told = c.told(told)
			}
			w.publish(told...)
			w.bucketFollows(len(told))
			if c.sql != "" {
				w.exec(c.sql, app)
			}
			r := w.run(audit.Audit{Truth: truth})
			// The bucket holds what the stream says, and is wrong with it.
			if c.sql == "" {
				delete(r.Count, audit.Bucket)
			}
			if got := slices.Sorted(maps.Keys(r.Count)); !slices.Equal(got, c.want) {
				t.Errorf("found %v, want %v: %v", got, c.want, r.Findings)
			}
			for _, f := range r.Findings {
				if f.App != app || f.Key == "" || f.Text == "" {
					t.Errorf("a finding that says too little: %+v", f)
				}
			}
		})
	}
}

func clone(m *nats.Msg) *nats.Msg {
	return &nats.Msg{Subject: m.Subject, Data: m.Data, Header: m.Header}
}

// bucketFollows waits until the bucket has followed the stream so far.
func (w *world) bucketFollows(messages int) {
	w.t.Helper()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); <-time.After(5 * time.Millisecond) {
		s, err := w.js.Stream(w.t.Context(), "KV_presence_"+strconv.Itoa(app))
		must(w.t, err)
		if s.CachedInfo().State.LastSeq >= uint64(messages) {
			return
		}
	}
	w.t.Fatalf("the bucket does not follow")
}

// An entry of the bucket that is missing, or of another event, is found; one that
// is yet to come is waited for.
func TestBucket(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	all := w.messages()
	w.publish(all[:5]...)
	w.bucketFollows(5)
	if r := w.run(audit.Audit{}); r.Count[audit.Bucket] != 1 {
		t.Errorf("a bucket that has not the last event: %v", r.Findings)
	}
	w.publish(all[5])
	if r := w.run(audit.Audit{Patience: time.Minute}); !r.Sound() {
		t.Errorf("a bucket that catches up: %v", r.Findings)
	}
	bucket, err := w.js.Stream(t.Context(), "KV_presence_"+strconv.Itoa(app))
	must(t, err)
	must(t, bucket.Purge(t.Context(), jetstream.WithPurgeSubject("$KV.presence_"+strconv.Itoa(app)+".alice")))
	if r := w.run(audit.Audit{}); r.Count[audit.Bucket] != 1 || len(r.Count) != 1 {
		t.Errorf("a bucket that misses a user: %v", r.Findings)
	}
}

// Alice went offline with the second sweep, and came with the third.
func TestIntervals(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.publish(w.messages()...)
	gone, back := w.events[3], w.events[4]
	const ms = time.Millisecond
	for _, c := range []struct {
		name    string
		changes []audit.Change
		slack   time.Duration
		want    int
	}{
		{"as it was", []audit.Change{{At: gone.ObservedAt, To: presence.Offline}, {At: back.After.Add(1), To: presence.Online}}, 0, 0},
		{"nothing happened", nil, 0, 2},
		{"the other way round", []audit.Change{{At: gone.After.Add(ms), To: presence.Online}, {At: back.ObservedAt, To: presence.Offline}}, 0, 2},
		{"too early and too late", []audit.Change{{At: gone.After, To: presence.Offline}, {At: back.ObservedAt.Add(ms), To: presence.Online}}, 0, 2},
		{"by another clock", []audit.Change{{At: gone.After, To: presence.Offline}, {At: back.ObservedAt.Add(ms), To: presence.Online}}, ms, 0},
	} {
		r := w.run(audit.Audit{Slack: c.slack, Patience: time.Minute, Changes: func(string) []audit.Change { return c.changes }})
		if r.Count[audit.Interval] != c.want || len(r.Count) > 1 {
			t.Errorf("%s: %v, want %d findings", c.name, r.Findings, c.want)
		}
	}
}

func TestArrivals(t *testing.T) {
	every := func(gaps ...time.Duration) (all []time.Duration) {
		at := time.Hour
		for _, gap := range gaps {
			at += gap
			all = append(all, at)
		}
		return all
	}
	const ms = time.Millisecond
	for _, c := range []struct {
		name     string
		arrivals []time.Duration
		most     int
		findings int
	}{
		{"none", nil, 0, 0},
		{"exactly the limit", every(0, 300*ms, 300*ms, 400*ms, 300*ms), 3, 0},
		{"one too many", every(0, 300*ms, 300*ms, 399*ms, 301*ms, 300*ms), 4, 1},
		{"all at once", every(0, 0, 0, 0, 0), 5, 2},
	} {
		most, findings := audit.Arrivals(app, c.arrivals, 3, time.Second)
		if most != c.most || len(findings) != c.findings {
			t.Errorf("%s: at most %d and %v, want %d and %d findings", c.name, most, findings, c.most, c.findings)
		}
	}
}
