package main

import (
	"bytes"
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"

	"github.com/zim-presence/poller/internal/ledger"
	"github.com/zim-presence/poller/internal/zimsim"
	"github.com/zim-presence/poller/presence"
)

// told is one message of the event stream.
type told struct {
	presence.Event
	subject, id, seq, contentType string
	data                          []byte
}

// events reads the whole event stream, behind the given number of messages.
func (w *world) events(behind int) []told {
	w.t.Helper()
	stream, err := w.js.Stream(context.Background(), "PRESENCE_"+strconv.Itoa(worldApp))
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return nil
	}
	if err != nil {
		w.t.Fatal(err)
	}
	info, err := stream.Info(context.Background())
	if err != nil {
		w.t.Fatal(err)
	}
	if info.State.LastSeq == uint64(behind) {
		return nil
	}
	consumer, err := stream.OrderedConsumer(context.Background(), jetstream.OrderedConsumerConfig{
		DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: uint64(behind) + 1,
	})
	if err != nil {
		w.t.Fatal(err)
	}
	messages, err := consumer.Messages()
	if err != nil {
		w.t.Fatal(err)
	}
	defer messages.Stop()
	var all []told
	for n := uint64(behind); n < info.State.LastSeq; n++ {
		m, err := messages.Next()
		if err != nil {
			w.t.Fatal(err)
		}
		e, err := presence.ParseEvent(m.Data())
		if err != nil {
			w.t.Fatal(err)
		}
		all = append(all, told{
			Event: e, subject: m.Subject(), data: m.Data(), id: m.Headers().Get(presence.HeaderID),
			seq: m.Headers().Get(presence.HeaderSeq), contentType: m.Headers().Get(presence.HeaderType),
		})
	}
	return all
}

// newEvents waits until the stream holds n events behind the given number, sees
// that it stays at that for two more sweeps, and returns them by user.
func (w *world) newEvents(behind, n int) map[string][]told {
	w.t.Helper()
	w.until(strconv.Itoa(n)+" more events", func() bool { return len(w.events(behind)) >= n })
	w.sweeps(2)
	all := w.events(behind)
	if len(all) != n {
		w.t.Errorf("%d events behind %d, want %d", len(all), behind, n)
	}
	byUser := map[string][]told{}
	for _, e := range all {
		byUser[e.User.ID] = append(byUser[e.User.ID], e)
	}
	return byUser
}

// audit proves that stream, ledger, state, bucket and truth agree. The program
// must have come to rest.
func (w *world) audit() {
	w.t.Helper()
	all := w.events(0)
	w.auditStream(all)
	state := w.auditChains(all)
	w.auditState(state)
	w.auditBucket(state)
	w.auditBudget()
	if repeated := w.zim.Stats().RepeatedNonces; repeated != 0 {
		w.t.Errorf("%d nonces were used twice", repeated)
	}
}

// auditBudget wants no more requests in a second than the limit, over the whole
// run, restarts included. The simulated ZIM shares its process with other tests
// and may note an arrival late when the machine is crowded; so a tenth of the
// second is left to that here. The whole second is held by the tests of package
// budget, where the server has a process of its own.
func (w *world) auditBudget() {
	w.t.Helper()
	const limit, span = 20, 900 * time.Millisecond
	arrivals, first := w.zim.Arrivals(0)
	if first != 0 {
		w.t.Errorf("the first %d arrivals are forgotten", first)
	}
	for i := limit; i < len(arrivals); i++ {
		if gap := arrivals[i] - arrivals[i-limit]; gap < span {
			w.t.Errorf("%d requests in %s, the limit is %d in a second", limit+1, gap, limit)
		}
	}
	w.t.Logf("%d requests, at most %d in a sliding second", len(arrivals), w.zim.Stats().MostPerSecond)
}

// auditStream compares the stream with the ledger, byte by byte.
func (w *world) auditStream(all []told) {
	w.t.Helper()
	book := ledger.New(w.pool, worldApp, zerolog.Nop())
	rows, err := book.After(context.Background(), presence.Cursor{}, 1_000_000)
	if err != nil {
		w.t.Fatal(err)
	}
	if len(rows) != len(all) {
		w.t.Errorf("the ledger has %d events, the stream %d", len(rows), len(all))
	}
	for i := range min(len(rows), len(all)) {
		data, err := rows[i].Data()
		if err != nil {
			w.t.Fatal(err)
		}
		got := all[i]
		if rows[i].Seq != int64(i+1) || got.Seq != rows[i].Seq || got.seq != strconv.Itoa(i+1) {
			w.t.Fatalf("place %d: ledger has event %d, stream %d (header %s)", i+1, rows[i].Seq, got.Seq, got.seq)
		}
		if got.id != rows[i].ID() || got.subject != rows[i].Subject() || !bytes.Equal(got.data, data) || got.contentType != presence.ContentType {
			w.t.Fatalf("event %d differs:\nstream %s %s %s %s\nledger %s %s %s", i+1, got.id, got.subject, got.contentType, got.data,
				rows[i].ID(), rows[i].Subject(), data)
		}
	}
}

// auditChains follows each user's events and returns where they lead.
func (w *world) auditChains(all []told) map[string]told {
	w.t.Helper()
	last := map[string]told{}
	for _, e := range all {
		before := last[e.User.ID]
		if e.PrevSeq != before.Seq || e.From != before.To {
			w.t.Errorf("event %d of %q: from %s behind event %d, but event %d led to %s", e.Seq, e.User.ID, e.From, e.PrevSeq, before.Seq, before.To)
		}
		kind, ok := presence.KindOf(e.From, e.To)
		if !ok || kind != e.Kind || e.After.After(e.ObservedAt) {
			w.t.Errorf("event %d of %q is no change: %s", e.Seq, e.User.ID, e.data)
		}
		last[e.User.ID] = e
	}
	return last
}

// auditState compares the tables with the events, and with the truth.
func (w *world) auditState(folded map[string]told) {
	w.t.Helper()
	rows, err := w.pool.Query(context.Background(), `
		select p.user_id, p.status, p.detail, p.since, exists (select from watched_users u where u.app_id = p.app_id and u.user_id = p.user_id)
		  from presence p
		 where p.app_id = $1`, worldApp)
	if err != nil {
		w.t.Fatal(err)
	}
	var user, status, detail string
	var since *time.Time
	var watched bool
	n := 0
	_, err = pgx.ForEachRow(rows, []any{&user, &status, &detail, &since, &watched}, func() error {
		n++
		e := folded[user]
		if status != e.To.String() || since != nil && !since.Equal(e.ObservedAt) {
			w.t.Errorf("presence of %q: %s since %v, the events say %s since %s", user, status, since, e.To, e.ObservedAt)
		}
		if !watched {
			return nil
		}
		if truth, _ := w.zim.State(user); status != truth.Status() || detail != truth.Detail() {
			w.t.Errorf("presence of %q: %s %s, the truth is %s", user, status, detail, truth)
		}
		return nil
	})
	if err != nil {
		w.t.Fatal(err)
	}
	if n < len(folded) {
		w.t.Errorf("presence has %d users, the events %d", n, len(folded))
	}
}

// auditBucket compares the bucket with each user's last event. It trails the
// stream, so it is waited for.
func (w *world) auditBucket(folded map[string]told) {
	w.t.Helper()
	bucket, err := w.js.KeyValue(context.Background(), "presence_"+strconv.Itoa(worldApp))
	if err != nil {
		w.t.Fatal(err)
	}
	for user, e := range folded {
		w.until("the bucket has the last event of "+user, func() bool {
			entry, err := bucket.Get(context.Background(), presence.EncodeUser(user))
			return err == nil && bytes.Equal(entry.Value(), e.data)
		})
	}
}

// auditIntervals proves each event's interval against the history: a change to
// the event's status has to lie in (after, observed_at].
func (w *world) auditIntervals(all []told) {
	w.t.Helper()
	changes, dropped := w.zim.Changes(0)
	if dropped > 0 {
		w.t.Fatalf("%d changes are forgotten", dropped)
	}
	history := map[string][]zimsim.Change{}
	for _, c := range changes {
		history[c.User] = append(history[c.User], c)
	}
	for _, e := range all {
		if e.Kind != presence.KindOnline && e.Kind != presence.KindOffline {
			continue
		}
		if !happened(history[e.User.ID], e) {
			w.t.Errorf("event %d says that %q went %s in (%s, %s]; it did not: %v", e.Seq, e.User.ID, e.To,
				e.After.Format(time.RFC3339Nano), e.ObservedAt.Format(time.RFC3339Nano), history[e.User.ID])
		}
	}
}

func happened(changes []zimsim.Change, e told) bool {
	for _, c := range changes {
		if c.From.Status() != c.To.Status() && c.To.Status() == e.To.String() && c.At.After(e.After) && !c.At.After(e.ObservedAt) {
			return true
		}
	}
	return false
}
