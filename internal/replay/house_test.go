package replay_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/RoaringBitmap/roaring/v2"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"
	"go.uber.org/goleak"

	"github.com/zim-presence/poller/internal/ledger"
	"github.com/zim-presence/poller/internal/local/localtest"
	"github.com/zim-presence/poller/internal/replay"
	"github.com/zim-presence/poller/internal/stream"
	"github.com/zim-presence/poller/migrations"
	"github.com/zim-presence/poller/presence"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(localtest.Main(m), localtest.ServerLeaks()) }

const (
	app = 4_000_000_001
	log = "abcdef01"
)

var monday = time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)

// house is a ledger that was written by hand, and a server.
type house struct {
	t      testing.TB
	server *localtest.NATSServer
	pool   *pgxpool.Pool
	book   *ledger.Ledger
	stream *stream.Stream
	js     jetstream.JetStream
	nc     *nats.Conn
	holds  int
}

// newHouse has a database with that many events, of as many users as are told: user
// n is called u.n.
func newHouse(t testing.TB, events, users int) *house {
	t.Helper()
	h := &house{t: t, server: localtest.NATS(t)}
	var err error
	h.nc, err = stream.Connect(stream.Options{URL: h.server.URL(), Name: t.Name(), Log: zerolog.Nop()})
	h.must(err)
	closed := make(chan struct{})
	h.nc.SetClosedHandler(func(*nats.Conn) { close(closed) })
	t.Cleanup(func() { h.nc.Close(); <-closed })
	h.js, err = jetstream.New(h.nc)
	h.must(err)
	h.stream, err = stream.New(h.nc, stream.Config{AppID: app}, zerolog.Nop())
	h.must(err)

	dsn := localtest.Postgres(t)
	_, err = migrations.Up(t.Context(), dsn)
	h.must(err)
	h.pool, err = pgxpool.New(t.Context(), dsn)
	h.must(err)
	t.Cleanup(h.pool.Close)
	h.book = ledger.New(h.pool, app, zerolog.Nop())
	h.fill(events, users)
	return h
}

// fill writes the ledger: two days, every user in turn, first a baseline and then
// online and offline by turns.
func (h *house) fill(events, users int) {
	h.t.Helper()
	for day := range 2 {
		from := monday.AddDate(0, 0, day)
		h.execute(fmt.Sprintf(`create table transitions_%s partition of transitions for values from ('%s') to ('%s')`,
			from.Format("20060102"), from.Format(time.RFC3339), from.AddDate(0, 0, 1).Format(time.RFC3339)))
	}
	h.execute(`insert into apps (app_id, log, last_seq, last_user_no) values ($1, $2, $3, $4)`, app, log, events, users)
	h.execute(`insert into user_states (app_id, user_no, user_id, status, last_seq) select $1, n, 'u.' || n, 'online', 0 from generate_series(1, $2::int) n`, app, users)
	h.execute(`
		insert into transitions (app_id, seq, user_no, user_id, kind, from_status, to_status, detail, after, observed_at, prev_seq,
		                         sweep, log, encoding, recorded_at)
		select $1, n, no, 'u.' || no, case round when 0 then 'baseline' else w end, case round when 0 then 'unknown' else v end, w,
		       case w when 'offline' then 'timeout' else '' end, case round when 0 then null else at - interval '1 minute' end, at,
		       greatest(0, n - $3::int), 1 + round, $4, 1, at + interval '1 millisecond'
		  from (select n, 1 + (n - 1) % $3::int as no, (n - 1) / $3::int as round,
		               $5::timestamptz + (n - 1) * (interval '47 hours' / $2::int) as at,
		               case (n - 1) / $3::int % 2 when 0 then 'online' else 'offline' end as w,
		               case (n - 1) / $3::int % 2 when 0 then 'offline' else 'online' end as v
		          from generate_series(1, $2::int) n) x`, app, events, users, log, monday)
}

func (h *house) execute(sql string, args ...any) {
	h.t.Helper()
	if _, err := h.pool.Exec(h.t.Context(), sql, args...); err != nil {
		h.t.Fatalf("%s: %v", sql, err)
	}
}

func (h *house) must(err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatal(err)
	}
}

// choice is what a replay is made of.
type choice struct {
	name        string
	first, last int64
	ledger.Choice
	core, state bool
	sweeps      [2]int64 // net changes between these
}

// start makes the row where there is none, takes the replay, and returns it.
func (h *house) start(c choice) *replay.Replay {
	h.t.Helper()
	past := h.book.Past()
	kept, err := past.CountSnapshots(h.t.Context(), c.sweeps[0], c.sweeps[1])
	h.must(err)
	_, err = h.book.StartReplay(h.t.Context(), ledger.Replay{Name: c.name, Asked: fmt.Appendf(nil, "%d", kept), First: c.first, Last: c.last, ToldSeq: c.first - 1})
	h.must(err)
	row, _, err := h.book.Replay(h.t.Context(), c.name)
	h.must(err)
	h.holds++
	hold, err := h.book.HoldReplay(h.t.Context(), c.name, row.Holder, fmt.Sprintf("hold %d", h.holds))
	h.must(err)
	h.must(json.Unmarshal(row.Asked, &kept)) // when it was started
	r := &replay.Replay{
		App: app, Name: c.name, LedgerLog: log, First: row.First, Last: row.Last, Ledger: ledger.Range{Past: past, Choice: c.Choice},
		Snapshots: past, Names: past, Kinds: c.Kinds, Book: hold, ToldSeq: row.ToldSeq, Told: row.Told,
		Weather: func(err error) bool { return errors.Is(err, stream.ErrSurprise) }, Log: zerolog.Nop(),
	}
	r.WithState, r.At, r.Net, r.Sweeps = c.state, monday, c.sweeps[1] > 0, c.sweeps
	r.Kept = kept
	if c.Users != nil {
		r.Users = map[uint32]bool{}
	}
	for _, no := range c.Users {
		r.Users[uint32(no)] = true
	}
	if c.core {
		r.Teller, err = h.stream.CoreReplay(c.name)
	} else {
		told, err := h.stream.Replay(c.name, time.Hour)
		h.must(err)
		r.Teller = told.Marked(row.Started.String())
	}
	h.must(err)
	return r
}

// snapshot writes the state at the end of a sweep, an hour behind the last one's and
// five minutes long.
func (h *house) snapshot(sweep, seq int64, online, offline, missed []uint32) {
	h.t.Helper()
	known := roaring.BitmapOf(online...)
	known.AddMany(offline)
	on, err := roaring.BitmapOf(online...).ToBytes()
	h.must(err)
	all, err := known.ToBytes()
	h.must(err)
	started := monday.Add(time.Duration(sweep) * time.Hour)
	h.execute(`
		insert into snapshots (app_id, sweep, started, finished, seq, watched, seen, missed_count, transitions, requests, online, known, missed)
		select $1, $2, $3, $4, $5, 0, 0, coalesce(cardinality($8::int[]), 0), 0, 0, $6, $7,
		       coalesce((select range_agg(int4range(n, n + 1)) from unnest($8::int[]) n), '{}')`,
		app, sweep, started, started.Add(5*time.Minute), seq, on, all, missed)
}

// wanted returns the messages that a replay of the choice has to tell.
func (h *house) wanted(c choice) []presence.Retold {
	h.t.Helper()
	var all []presence.Retold
	err := h.book.Past().Events(h.t.Context(), presence.Cursor{Seq: c.first - 1}, c.last, func(events []presence.Event) error {
		for i := range events {
			if e := &events[i]; e.Kind != presence.KindErased && chosen(c.Choice, e) {
				m, err := e.Again(c.name, int64(len(all)+1))
				h.must(err)
				all = append(all, m)
			}
		}
		return nil
	})
	h.must(err)
	return all
}

func chosen(c ledger.Choice, e *presence.Event) bool {
	user, kind := c.Users == nil, len(c.Kinds) == 0
	for _, no := range c.Users {
		user = user || uint32(no) == e.User.No
	}
	for _, k := range c.Kinds {
		kind = kind || k == e.Kind
	}
	return user && kind
}

// stored demands that the stream of a replay holds exactly these messages.
func (h *house) stored(name string, want []presence.Retold) {
	h.t.Helper()
	s, err := h.js.Stream(h.t.Context(), stream.ReplayStreamName(app, name))
	h.must(err)
	if got := s.CachedInfo().State.Msgs; got != uint64(len(want)) || len(want) == 0 {
		h.t.Fatalf("the stream of %s holds %d messages, want %d", name, got, len(want))
	}
	reader, err := s.OrderedConsumer(h.t.Context(), jetstream.OrderedConsumerConfig{})
	h.must(err)
	messages, err := reader.Messages()
	h.must(err)
	defer messages.Stop()
	for i := range want {
		msg, err := messages.Next(jetstream.NextContext(h.t.Context()))
		h.must(err)
		h.same(&want[i], msg.Subject(), msg.Headers(), msg.Data())
	}
}

func (h *house) same(want *presence.Retold, subject string, header nats.Header, data []byte) {
	h.t.Helper()
	seq := ""
	if want.Seq > 0 {
		seq = fmt.Sprint(want.Seq)
	}
	name, position, ok := presence.ReplayOf(header.Get)
	got := []any{name, position, ok, subject, header.Get("Nats-Msg-Id"), header.Get("Presence-Seq"), header.Get("Content-Type"), string(data)}
	wanted := []any{want.Replay, want.Position, true, want.Subject, want.Replay + "/" + want.ID, seq, "application/cloudevents+json", string(want.Data)}
	if fmt.Sprint(got) != fmt.Sprint(wanted) {
		h.t.Fatalf("message %d:\n got %v\nwant %v", want.Position, got, wanted)
	}
}
