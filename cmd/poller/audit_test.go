package main

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/zim-presence/poller/internal/audit"
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
	info := stream.CachedInfo() // as of now: the stream was just looked up
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
	report, err := audit.Audit{DB: w.pool, JS: w.js, App: worldApp, Truth: w.truth, Patience: patience}.Run(context.Background())
	if err != nil {
		w.t.Fatal(err)
	}
	for _, f := range report.Findings {
		w.t.Error(f)
	}
	w.auditBudget()
	if repeated := w.zim.Stats().RepeatedNonces; repeated != 0 {
		w.t.Errorf("%d nonces were used twice", repeated)
	}
}

// truth is how a user stands at the simulated ZIM.
func (w *world) truth(user string) (presence.Status, presence.Detail, bool) {
	state, _ := w.zim.State(user)
	switch state {
	case zimsim.Online:
		return presence.Online, presence.NoDetail, true
	case zimsim.Timeout:
		return presence.Offline, presence.Timeout, true
	default:
		return presence.Offline, presence.NoSession, true
	}
}

// auditBudget wants no more requests in a second than the limit, over the whole
// run, restarts included. The simulated ZIM takes the time of an arrival from the
// kernel, so that a crowded machine does not blame the program.
func (w *world) auditBudget() {
	w.t.Helper()
	arrivals, first := w.zim.Arrivals(0)
	if first != 0 {
		w.t.Errorf("the first %d arrivals are forgotten", first)
	}
	_, findings := audit.Arrivals(worldApp, arrivals, 20, time.Second)
	for _, f := range findings {
		w.t.Error(f)
	}
	w.t.Logf("%d requests, at most %d in a sliding second", len(arrivals), w.zim.Stats().MostPerSecond)
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
