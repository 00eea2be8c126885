package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2/event"
	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/zim-presence/poller/internal/stream"
	"github.com/zim-presence/poller/internal/zimsim"
	"github.com/zim-presence/poller/presence"
)

// Everything that the program puts into NATS, of every sort that there is, is as
// asyncapi.yaml and the schemas say, and is read by the CloudEvents SDK.
func TestContract(t *testing.T) {
	t.Parallel()
	rules := readContract(t, draft2020)
	w := newWorld(t)
	w.tellsEverything()

	sorts, kinds, encoded, confirmed := map[string]bool{}, map[string]bool{}, 0, false
	for _, name := range w.streams() {
		for _, m := range w.messages(name) {
			if err := rules.judge(m); err != nil {
				t.Errorf("%s: %s %v %s: %v", m.stream, m.subject, m.headers, m.data, err)
				continue
			}
			sorts[strings.NewReplacer("4000000001", "app").Replace(m.stream)+" "+typeOf(t, m.data)] = true
			kinds[w.readByOthers(m)] = true
			confirmed = confirmed || strings.Contains(string(m.data), `"confirmed_at":"`)
			if strings.Contains(m.subject, "=") {
				encoded++
			}
		}
	}
	want := []string{
		"KV_presence_app presence.transition.v1", "PRESENCE_CONTROL_app presence.erased.v1", "PRESENCE_CONTROL_app presence.incident.v1",
		"PRESENCE_CONTROL_app presence.lease.v1", "PRESENCE_CONTROL_app presence.sweep.v1", "PRESENCE_REPLAY_app_all presence.state.v1",
		"PRESENCE_REPLAY_app_all presence.transition.v1", "PRESENCE_REPLAY_app_net presence.net.v1", "PRESENCE_app presence.transition.v1",
	}
	if diff := cmp.Diff(want, slices.Sorted(maps.Keys(sorts))); diff != "" {
		t.Errorf("sorts of messages (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"", "baseline", "erased", "offline", "online", "removed", "stale"}, slices.Sorted(maps.Keys(kinds))); diff != "" {
		t.Errorf("kinds (-want +got):\n%s", diff)
	}
	if !confirmed {
		t.Error("no event was held back")
	}
	w.auditControls()
	if encoded < len(awkward) {
		t.Errorf("%d messages of users whose ids are encoded, want %d and more", encoded, len(awkward))
	}
}

// streams are the names of all, listed before any is read: the client gives a listing five seconds in all where its
// context has no end.
func (w *world) streams() (all []string) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	names := w.js.StreamNames(ctx)
	for name := range names.Name() {
		all = append(all, name)
	}
	if names.Err() != nil {
		w.t.Fatal(names.Err())
	}
	return all
}

// tellsEverything has the program tell something of every sort.
func (w *world) tellsEverything() {
	users := population(30)
	w.set(users)
	w.watch(keys(users)...)
	daemon := w.start("run")
	w.newEvents(0, len(users))
	w.flips(users)
	w.unwatch("a.b", "x>y")
	w.until("they are removed", func() bool { return w.count(`select count(*) from transitions where kind = 'removed'`) == 2 })
	w.sweeps(2)
	w.until("all is told", func() bool { return int64(w.lastMessage()) == w.lastSeq() })
	daemon.stop()
	w.runs("replay", "--name", "all", "--with-state", "--from", "20")
	first := w.newest(`select min(finished) from snapshots where app_id = $1`)
	w.runs("replay", "--name", "net", "--snapshots", "--from", first.UTC().Format(time.RFC3339Nano))
	w.tellsOfItself()
	// Told as erased where it stands are only events that were not told before.
	w.nats.Stop()
	for _, id := range []string{"=2E", "a space"} {
		to := zimsim.Online
		if was, _ := w.zim.State(id); was == zimsim.Online {
			to = zimsim.LoggedOut
		}
		w.set(map[string]zimsim.State{id: to})
	}
	daemon = w.start("run")
	w.sweeps(2)
	daemon.kill()
	w.nats.Start()
	w.runs("forget", "=2E", "--yes")
	w.runs("sweep")
}

// runs runs a command that has to go well.
func (w *world) runs(args ...string) {
	w.t.Helper()
	p := w.start(args...)
	if code := p.ended(); code != 0 {
		w.t.Fatalf("poller %s: exit code %d, %s\n%s", strings.Join(args, " "), code, p.out.String(), strings.Join(p.lines, "\n"))
	}
}

// messages are all that a stream holds.
func (w *world) messages(name string) (all []message) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	s, err := w.js.Stream(ctx, name)
	if err != nil {
		w.t.Fatal(err)
	}
	reader, err := s.OrderedConsumer(ctx, jetstream.OrderedConsumerConfig{})
	if err != nil {
		w.t.Fatal(err)
	}
	for left := s.CachedInfo().State.Msgs; left > 0; left-- {
		m, err := reader.Next(jetstream.FetchMaxWait(patience))
		if err != nil {
			w.t.Fatalf("%s, %d messages before its end: %v", name, left, err)
		}
		headers := map[string]any{}
		for key := range m.Headers() {
			headers[key] = m.Headers().Get(key)
		}
		all = append(all, message{name, m.Subject(), headers, m.Data()})
	}
	return all
}

// envelope is what a CloudEvent says outside of its data.
type envelope struct {
	ID, Source, Subject, ContentType string
	Time                             time.Time
}

// readByOthers reads a message with the CloudEvents SDK and with package presence,
// which have to say the same; it returns the kind.
func (w *world) readByOthers(m message) (kind string) {
	w.t.Helper()
	var sdk cloudevents.Event
	if err := json.Unmarshal(m.data, &sdk); err != nil {
		w.t.Fatalf("%s: %v", m.data, err)
	}
	if err := sdk.Validate(); err != nil {
		w.t.Errorf("%s: %v", m.data, err)
	}
	want, user := w.readOurselves(sdk.Type(), m.data)
	got := envelope{sdk.ID(), sdk.Source(), sdk.Subject(), sdk.DataContentType(), sdk.Time()}
	if diff := cmp.Diff(want, got); diff != "" {
		w.t.Errorf("%s (-presence +CloudEvents SDK):\n%s", m.data, diff)
	}
	var data struct {
		AppID  uint32 `json:"app_id"`
		UserID string `json:"user_id"`
		Kind   string `json:"kind"`
	}
	if err := sdk.DataAs(&data); err != nil || data.AppID != worldApp || data.UserID != user {
		w.t.Errorf("%s: the SDK reads app %d and user %q (%v), want %d and %q", m.data, data.AppID, data.UserID, err, uint32(worldApp), user)
	}
	if name, isReplay := m.headers[presence.HeaderReplay]; isReplay {
		want.ID = fmt.Sprint(name) + "/" + want.ID
	}
	if m.headers[presence.HeaderID] != want.ID {
		w.t.Errorf("%s: %s is %v, want %s", m.data, presence.HeaderID, m.headers[presence.HeaderID], want.ID)
	}
	if token := m.subject[strings.LastIndexByte(m.subject, '.')+1:]; user != "" && token != presence.EncodeUser(user) {
		w.t.Errorf("the subject of %q ends with %s", user, token)
	}
	return data.Kind
}

// readOurselves is what package presence reads, and of whom.
func (w *world) readOurselves(sort string, data []byte) (e envelope, user string) {
	w.t.Helper()
	e.Source, e.ContentType = fmt.Sprintf("/zim/%d", uint32(worldApp)), "application/json"
	var err error
	switch sort {
	case presence.EventType:
		var read presence.Event
		read, err = presence.ParseEvent(data)
		e.ID, e.Subject, e.Time = read.ID(), read.User.ID, read.ObservedAt
	case presence.StandingType:
		var read presence.Standing
		read, err = presence.ParseStanding(data)
		e.ID, e.Subject, e.Time = read.ID(), read.User.ID, read.At
	case presence.NetChangeType:
		var read presence.NetChange
		read, err = presence.ParseNetChange(data)
		e.ID, e.Subject, e.Time = read.ID(), read.User.ID, read.ObservedAt
	case presence.ErasedType:
		var read presence.Erased
		read, err = presence.ParseErased(data)
		e.ID, e.Time = read.ID(), read.ErasedAt
	case presence.SweepType:
		var read presence.SweepTold
		read, err = presence.ParseSweepTold(data)
		if e.ID, e.Time = read.ID(), read.StartedAt; read.Finished() {
			e.Time = read.FinishedAt
		}
	case presence.IncidentType:
		var read presence.IncidentTold
		read, err = presence.ParseIncidentTold(data)
		e.ID, e.Time = read.ID(), read.EndedAt
	case presence.LeaseType:
		var read presence.LeaseTold
		read, err = presence.ParseLeaseTold(data)
		e.ID, e.Time = read.ID(), read.At
	default:
		err = fmt.Errorf("no such type: %s", sort)
	}
	if err != nil {
		w.t.Errorf("%s: %v", data, err)
	}
	return e, e.Subject
}

// lastSeq is the newest event of the ledger.
func (w *world) lastSeq() int64 {
	w.t.Helper()
	return int64(w.count(`select last_seq from apps where app_id = $1`, worldApp))
}

// lastMessage is the place of the newest message in the event stream.
func (w *world) lastMessage() uint64 {
	w.t.Helper()
	events, err := w.js.Stream(context.Background(), stream.EventStreamName(worldApp))
	if err != nil {
		w.t.Fatal(err)
	}
	return events.CachedInfo().State.LastSeq
}
