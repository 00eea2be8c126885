package main

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/zim-presence/poller/presence"
)

// gone is the value of a field that is not there.
type gone struct{}

// with is a copy of a document in which one place has another value.
func with(t *testing.T, doc any, at string, value any) any {
	t.Helper()
	if at == "#" {
		return value
	}
	steps := strings.Split(at, "/")[1:]
	doc = clone(t, doc)
	inner := doc
	for _, step := range steps[:len(steps)-1] {
		inner = inner.(map[string]any)[step]
	}
	last := steps[len(steps)-1]
	if _, away := value.(gone); away {
		delete(inner.(map[string]any), last)
	} else {
		inner.(map[string]any)[last] = value
	}
	return clone(t, doc)
}

// samples are messages of every sort, made by package presence.
func samples(t *testing.T) map[string]message {
	t.Helper()
	at := time.Date(2026, 11, 22, 18, 43, 36, 120114000, time.UTC)
	event := func(kind presence.Kind, from, to presence.Status, detail presence.Detail) presence.Event {
		e := presence.Event{AppID: worldApp, Log: "7f3a90c2", Encoding: presence.EncodingV1, Transition: presence.Transition{
			Seq: 41, PrevSeq: 17, User: presence.User{No: 5, ID: "a.b >"}, Kind: kind, From: from, To: to, Detail: detail,
			After: at.Add(-time.Minute), ObservedAt: at, Sweep: 881,
		}}
		if from == presence.Unknown {
			e.After = time.Time{}
		}
		return e
	}
	events := []presence.Event{
		event(presence.KindOnline, presence.Offline, presence.Online, presence.NoDetail),
		event(presence.KindOffline, presence.Online, presence.Offline, presence.Timeout),
		event(presence.KindBaseline, presence.Unknown, presence.Offline, presence.NoSession),
		event(presence.KindRemoved, presence.Online, presence.Unknown, presence.NoDetail),
		event(presence.KindErased, presence.Unknown, presence.Unknown, presence.NoDetail),
		event(presence.KindStale, presence.Online, presence.Unknown, presence.NoDetail),
	}
	events[4].User, events[4].PrevSeq = presence.User{}, 0
	all := map[string]message{}
	for _, e := range events {
		data, err := e.Data()
		if err != nil {
			t.Fatal(err)
		}
		live := message{"PRESENCE_4000000001", e.Subject(), map[string]any{
			presence.HeaderID: e.ID(), presence.HeaderSeq: "41", presence.HeaderType: presence.ContentType,
			"Nats-Expected-Stream": "PRESENCE_4000000001",
		}, data}
		all[e.Kind.String()] = live
		kept := live
		kept.stream, kept.subject = "KV_presence_4000000001", "$KV.presence_4000000001."+live.subject[strings.LastIndexByte(live.subject, '.')+1:]
		kept.headers = maps.Clone(live.headers)
		kept.headers["Nats-Stream-Source"] = "PRESENCE_4000000001 41 presence.v1.*.*.* $KV.presence_4000000001.{{wildcard(3)}}"
		all["last "+e.Kind.String()] = kept
	}
	confirmed := events[1]
	confirmed.ConfirmedAt, confirmed.Encoding = at.Add(30*time.Second), presence.EncodingV2
	if data, err := confirmed.Data(); err != nil {
		t.Fatal(err)
	} else {
		m := all["offline"]
		m.data = data
		all["confirmed"] = m
	}
	control(t, all, at)
	retell(t, all, events[0], at)
	return all
}

// control adds what is told of the stream itself.
func control(t *testing.T, all map[string]message, at time.Time) {
	t.Helper()
	mark := presence.Mark{AppID: worldApp, Log: "7f3a90c2", Epoch: 12, N: 345}
	for name, c := range map[string]presence.Control{
		"erased events": &presence.Erased{AppID: worldApp, Seqs: presence.SeqSetOf(7, 41, 42), ErasedAt: at},
		"sweep started": &presence.SweepTold{Mark: mark, Sweep: 881, StartedAt: at, Watched: 500},
		"sweep finished": &presence.SweepTold{
			Mark: mark, Sweep: 881, StartedAt: at, Watched: 500, FinishedAt: at.Add(time.Second), Complete: true, Seen: 490, Missed: 10,
			Held: 3, RemovalsHeld: 2, Transitions: 17, Requests: 9, BudgetUsed: 0.5, Seq: 41,
		},
		"incident": &presence.IncidentTold{
			Mark: mark, Incident: 1, BeganAt: at, EndedAt: at.Add(time.Minute), Outcome: presence.OutcomeReleased, Flips: 300, Share: 0.75,
			Decided: 310, Rounds: 2, SampleAsked: 50, SampleAnswered: 48, SampleOffline: 47, CanariesAsked: 40, CanariesAnswered: 39, CanariesOffline: 2,
		},
		"lease taken":    &presence.LeaseTold{Mark: mark, Owner: "host:77:a0b1c2", At: at},
		"lease released": &presence.LeaseTold{Mark: mark, Owner: "host:77:a0b1c2", Released: true, At: at},
	} {
		data, err := c.Data()
		if err != nil {
			t.Fatal(err)
		}
		all[name] = message{"PRESENCE_CONTROL_4000000001", c.Subject(), map[string]any{
			presence.HeaderID: c.ID(), presence.HeaderType: presence.ContentType,
		}, data}
	}
}

// retell adds what a replay tells.
func retell(t *testing.T, all map[string]message, e presence.Event, at time.Time) {
	t.Helper()
	state := presence.Standing{AppID: e.AppID, Log: e.Log, User: e.User, Status: presence.Online, Seq: 40, At: at}
	gone := state
	gone.Status = presence.Offline
	net := presence.NetChange{
		AppID: e.AppID, Log: e.Log, User: e.User, Kind: e.Kind, From: e.From, To: e.To, After: e.After, ObservedAt: e.ObservedAt, Sweeps: [2]int64{880, 940},
	}
	offline, baseline, removed := net, net, net
	offline.Kind, offline.From, offline.To, offline.After = presence.KindOffline, presence.Online, presence.Offline, time.Time{}
	baseline.Kind, baseline.From, baseline.To = presence.KindBaseline, presence.Unknown, presence.Online
	removed.Kind, removed.From, removed.To = presence.KindRemoved, presence.Offline, presence.Unknown
	for name, again := range map[string]func(string, int64) (presence.Retold, error){
		"again": e.Again, "state": state.Again, "state offline": gone.Again,
		"net": net.Again, "net offline": offline.Again, "net baseline": baseline.Again, "net removed": removed.Again,
	} {
		r, err := again("audit-7", 3)
		if err != nil {
			t.Fatal(err)
		}
		m := message{"PRESENCE_REPLAY_4000000001_audit-7", r.Subject, map[string]any{
			presence.HeaderID: r.MsgID(), presence.HeaderType: presence.ContentType, presence.HeaderReplay: "audit-7", presence.HeaderPosition: "3",
		}, r.Data}
		if r.Seq > 0 {
			m.headers[presence.HeaderSeq] = "41"
		}
		all[name] = m
	}
}

// both is the contract under both drafts, which have to judge alike.
type both struct {
	t     *testing.T
	rules [2]contract
}

func readBoth(t *testing.T) both {
	t.Helper()
	return both{t, [2]contract{readContract(t, draft2020), readContract(t, draft7)}}
}

func (b both) judge(m message) error {
	b.t.Helper()
	newer, older := b.rules[0].judge(m), b.rules[1].judge(m)
	if (newer == nil) != (older == nil) {
		b.t.Errorf("%s %s: draft 2020-12 says %v, draft 7 says %v", m.subject, m.data, newer, older)
	}
	return newer
}

// judgeAs judges data alone.
func (b both) judgeAs(kind string, data []byte) error {
	b.t.Helper()
	newer, older := b.rules[0].judgeAs(kind, data), b.rules[1].judgeAs(kind, data)
	if (newer == nil) != (older == nil) {
		b.t.Errorf("%s: draft 2020-12 says %v, draft 7 says %v", data, newer, older)
	}
	return newer
}

// What may be added within v1 does not make a message invalid.
func TestContractLetsGrow(t *testing.T) {
	t.Parallel()
	b := readBoth(t)
	for name, m := range samples(t) {
		if err := b.judge(m); err != nil {
			t.Errorf("%s: %s: %v", name, m.data, err)
		}
		for _, at := range []string{"#/traceparent", "#/data/region"} {
			if err := b.judge(m.with(t, at, "x")); err != nil {
				t.Errorf("%s with a field more at %s: %v", name, at, err)
			}
		}
	}
	for _, m := range []message{unheard(t), unheard(t).with(t, "#/data/user_id", "").with(t, "#/subject", gone{}), unheard(t).with(t, "#/data/after", nil)} {
		if err := b.judge(m); err != nil {
			t.Errorf("a kind that is not known: %s: %v", m.data, err)
		}
	}
	all := samples(t)
	for _, m := range []message{
		all["baseline"].with(t, "#/data/to", "online").with(t, "#/data/detail", ""), all["removed"].with(t, "#/data/from", "offline"),
		all["removed"].with(t, "#/data/from", "unknown"), all["stale"].with(t, "#/data/from", "offline"), all["confirmed"].with(t, "#/data/confirmed_at", gone{}),
		all["baseline"].with(t, "#/data/confirmed_at", "2026-11-22T18:43:36.120114Z"), all["sweep started"].with(t, "#/data/phase", "paused"),
		all["sweep finished"].with(t, "#/data/complete", false), all["sweep finished"].with(t, "#/data/complete", false).with(t, "#/data/seen", 0),
		all["sweep finished"].with(t, "#/data/watched", 0).with(t, "#/data/seen", 0),
		all["sweep finished"].with(t, "#/data/seq", 0), all["sweep finished"].with(t, "#/data/budget_used", 1),
		all["incident"].with(t, "#/data/outcome", "discarded"), all["incident"].with(t, "#/data/share", 0),
		all["net baseline"].with(t, "#/data/to", "offline"), all["net removed"].with(t, "#/data/from", "online"), all["net"].with(t, "#/data/after", nil),
	} {
		if err := b.judge(m); err != nil {
			t.Errorf("%s: %v", m.data, err)
		}
	}
}

// unheard is an event of a kind that is not known yet.
func unheard(t *testing.T) message {
	t.Helper()
	m := samples(t)["online"].with(t, "#/data/kind", "moved").with(t, "#/data/from", "online")
	m.subject = strings.Replace(m.subject, ".online.", ".moved.", 1)
	return m
}

// with is a message with another value in its data.
func (m message) with(t *testing.T, at string, value any) message {
	t.Helper()
	doc := map[string]any{}
	if err := json.Unmarshal(m.data, &doc); err != nil {
		t.Fatal(err)
	}
	data, err := json.Marshal(with(t, doc, at, value))
	if err != nil {
		t.Fatal(err)
	}
	m.data = data
	return m
}

// Every field is needed and of its own form, in every sort of message.
func TestContractWantsEveryField(t *testing.T) {
	t.Parallel()
	b := readBoth(t)
	refused := 0
	for name, m := range samples(t) {
		for _, at := range places(t, m) {
			wrong := []any{gone{}, map[string]any{}, []any{}, 1.5, -1, "", "no such", true}
			for _, value := range wrong {
				if harmless(name, at, value) {
					continue
				}
				refused++
				if b.judgeAs(typeOf(t, m.data), m.with(t, at, value).data) == nil {
					t.Errorf("%s: %s = %#v is not refused", name, at, value)
				}
			}
		}
		for header := range m.headers {
			if header == "Nats-Expected-Stream" {
				continue
			}
			for _, value := range []any{gone{}, ""} {
				other := m
				other.headers = with(t, m.headers, "#/"+header, value).(map[string]any)
				if b.judge(other) == nil {
					t.Errorf("%s: header %s = %#v is not refused", name, header, value)
				}
			}
		}
	}
	if refused < 1000 {
		t.Errorf("%d messages were tried", refused)
	}
}

// harmless tells whether a value is as it was, or just another one that may be there.
func harmless(name, at string, value any) bool {
	erased := strings.HasSuffix(name, "erased")
	switch at {
	case "#/data/net", "#/data/complete":
		return value == true
	case "#/data/detail":
		return value == ""
	case "#/data/user_id":
		return value == "" && erased || value == "no such" && !erased
	case "#/subject", "#/data/owner":
		return value == "no such"
	case "#/data/confirmed_at":
		return value == gone{}
	}
	return false
}

// places are all fields of a message's data, but the object itself.
func places(t *testing.T, m message) (all []string) {
	t.Helper()
	var doc map[string]any
	if err := json.Unmarshal(m.data, &doc); err != nil {
		t.Fatal(err)
	}
	for name := range doc {
		all = append(all, "#/"+name)
	}
	for name := range doc["data"].(map[string]any) {
		all = append(all, "#/data/"+name)
	}
	return all
}

// One thing is wrong with each of these.
func TestContractRefuses(t *testing.T) {
	t.Parallel()
	b := readBoth(t)
	long := strings.Repeat("x", 65)
	all := samples(t)
	all["unheard"] = unheard(t)
	for _, c := range []struct{ sample, at, value string }{
		{"online", "#/data/from", `"online"`}, {"online", "#/data/from", `"unknown"`}, {"online", "#/data/to", `"offline"`},
		{"online", "#/data/after", `null`}, {"online", "#/data/detail", `"timeout"`}, {"online", "#/data/user_id", `""`},
		{"offline", "#/data/from", `"offline"`}, {"offline", "#/data/to", `"online"`}, {"offline", "#/data/detail", `""`},
		{"offline", "#/data/detail", `"asleep"`}, {"offline", "#/data/after", `null`},
		{"baseline", "#/data/after", `"2026-11-22T18:43:36.120114Z"`}, {"baseline", "#/data/from", `"online"`}, {"baseline", "#/data/to", `"unknown"`},
		{"baseline", "#/data/detail", `""`},
		{"removed", "#/data/to", `"offline"`}, {"removed", "#/data/from", `"asleep"`}, {"removed", "#/data/after", `null`}, {"removed", "#/data/detail", `"timeout"`},
		{"erased", "#/subject", `"alice"`}, {"erased", "#/subject", `""`}, {"erased", "#/data/user_id", `"alice"`}, {"erased", "#/data/prev_seq", `17`},
		{"erased", "#/data/from", `"online"`}, {"erased", "#/data/to", `"offline"`}, {"erased", "#/data/after", `"2026-11-22T18:43:36.120114Z"`},
		{"erased", "#/data/detail", `"timeout"`},
		{"online", "#/specversion", `"0.3"`}, {"online", "#/type", `"presence.transition.v2"`}, {"online", "#/datacontenttype", `"text/plain"`},
		{"online", "#/id", `"4000000001-7f3a90c2"`}, {"online", "#/id", `"4000000001-7F3A90C2-41"`}, {"online", "#/id", `"4000000001-7f3a90c2-041"`},
		{"online", "#/id", `"4000000001-7f3a90c-41"`}, {"online", "#/source", `"/zim/0"`}, {"online", "#/source", `"/zim/alice"`},
		{"online", "#/time", `"2026-11-22T18:43:36Z"`}, {"online", "#/time", `"2026-11-22T18:43:36.120Z"`}, {"online", "#/time", `"2026-11-22T18:43:36.120114+01:00"`},
		{"online", "#/time", `"2026-11-22 18:43:36.120114Z"`}, {"online", "#/time", `"2026-02-30T18:43:36.120114Z"`}, {"online", "#/data/observed_at", `"2026-11-22T18:43:36.1201140Z"`},
		{"online", "#/data/after", `"2026-11-22T24:43:36.120114Z"`},
		{"online", "#/data/app_id", `0`}, {"online", "#/data/app_id", `4294967296`}, {"online", "#/data/seq", `0`}, {"online", "#/data/seq", `9007199254740992`},
		{"online", "#/data/seq", `"41"`}, {"online", "#/data/prev_seq", `-1`}, {"online", "#/data/sweep", `0`}, {"online", "#/data/kind", `"Online"`}, {"online", "#/data/kind", `"on.line"`},
		{"online", "#/data/user_id", `"` + long + `"`}, {"online", "#/data/user_id", `"a/b"`}, {"online", "#/data/user_id", `"ü"`}, {"online", "#/subject", `"a\nb"`},
		{"online", "#", `7`}, {"online", "#/data", `7`}, {"online", "#/data/prev_seq", `9007199254740991`}, {"online", "#/data/sweep", `9007199254740992`},
		{"online", "#/data/to", `"unknown"`}, {"net", "#/data/from", `"asleep"`}, {"offline", "#/data/to", `"unknown"`}, {"removed", "#/data/to", `"online"`}, {"baseline", "#/data/to", `"asleep"`},
		{"unheard", "#/data/from", `"asleep"`}, {"unheard", "#/data/to", `"asleep"`}, {"unheard", "#/data/detail", `"timeout"`}, {"unheard", "#/data/user_id", `"a/b"`},
		{"unheard", "#/data/after", `"yesterday"`}, {"unheard", "#/data/after", `7`}, {"unheard", "#/data/user_id", `7`},
		{"stale", "#/data/from", `"unknown"`}, {"stale", "#/data/to", `"online"`}, {"stale", "#/data/after", `null`}, {"stale", "#/data/user_id", `""`},
		{"stale", "#/data/detail", `"timeout"`}, {"stale", "#/data/confirmed_at", `"2026-11-22T18:43:36.120114Z"`}, {"stale", "#/subject", `""`},
		{"removed", "#/data/confirmed_at", `"2026-11-22T18:43:36.120114Z"`}, {"erased", "#/data/confirmed_at", `"2026-11-22T18:43:36.120114Z"`},
		{"confirmed", "#/data/confirmed_at", `null`}, {"confirmed", "#/data/confirmed_at", `"2026-11-22T18:43:36Z"`}, {"confirmed", "#/data/confirmed_at", `7`},
		{"sweep started", "#", `7`}, {"sweep started", "#/data/seq", `41`}, {"sweep started", "#/data/complete", `true`}, {"sweep started", "#/data/phase", `"finished"`},
		{"sweep started", "#/data/finished_at", `"2026-11-22T18:43:36.120114Z"`}, {"sweep started", "#/data/phase", `"On.going"`},
		{"sweep finished", "#/data/phase", `"started"`}, {"sweep finished", "#/data/budget_used", `1.0001`}, {"sweep finished", "#/data/seq", `9007199254740992`},
		{"sweep finished", "#/data/complete", `1`}, {"sweep finished", "#/data/seen", `-1`}, {"sweep finished", "#/data/seen", `0`},
		{"sweep finished", "#/id", `"4000000001-7f3a90c2-12"`},
		{"sweep finished", "#/id", `"4000000001-7f3a90c2-12-0"`}, {"sweep finished", "#/time", `"2026-02-30T18:43:36.120114Z"`}, {"sweep finished", "#/data/app_id", `4294967296`},
		{"incident", "#", `7`}, {"incident", "#/data/outcome", `"forgotten"`}, {"incident", "#/data/share", `-0.1`}, {"incident", "#/data/incident", `0`}, {"incident", "#/data/rounds", `1.5`},
		{"incident", "#/time", `"2026-11-22T18:43:36Z"`}, {"incident", "#/data/app_id", `0`}, {"incident", "#/data/app_id", `4294967296`},
		{"lease taken", "#", `7`}, {"lease taken", "#/data/state", `"lost"`}, {"lease taken", "#/data/epoch", `0`}, {"lease released", "#/data/owner", `""`},
		{"lease taken", "#/data/app_id", `4294967296`}, {"lease taken", "#/id", `"4000000001-erased-12-345"`}, {"lease taken", "#/time", `"2026-02-30T18:43:36.120114Z"`},
		{"state", "#", `7`}, {"state", "#/data/app_id", `4294967296`}, {"state", "#/data/at_seq", `9007199254740992`}, {"state", "#/data/user_id", `"` + long + `"`},
		{"state", "#/data/user_id", `"a/b"`}, {"state", "#/time", `"2026-02-30T18:43:36.120114Z"`}, {"state", "#/time", `"2026-11-22T18:43:36Z"`},
		{"net", "#", `7`}, {"net", "#/data/app_id", `4294967296`}, {"net", "#/data/user_id", `"` + long + `"`}, {"net", "#/data/user_id", `"a/b"`},
		{"net", "#/time", `"2026-02-30T18:43:36.120114Z"`}, {"net", "#/time", `"2026-11-22T18:43:36Z"`}, {"net", "#/data/sweeps", `[880,9007199254740992]`},
		{"net", "#/data/sweeps", `[880,"940"]`}, {"net", "#/data/after", `"yesterday"`},
		{"net offline", "#/data/from", `"unknown"`}, {"net offline", "#/data/to", `"unknown"`}, {"net baseline", "#/data/from", `"offline"`},
		{"net baseline", "#/data/to", `"unknown"`}, {"net removed", "#/data/from", `"unknown"`}, {"net removed", "#/data/to", `"online"`},
		{"erased events", "#", `7`}, {"erased events", "#/data/app_id", `4294967296`}, {"erased events", "#/data/seqs", `[[7,9007199254740992]]`},
		{"erased events", "#/data/seqs", `[["7",8]]`}, {"erased events", "#/data/seqs", `[` + strings.Repeat(`[7,7],`, 2000) + `[7,7]]`},
		{"erased events", "#/time", `"2026-02-30T18:43:36.120114Z"`}, {"erased events", "#/time", `"2026-11-22T18:43:36Z"`},
		{"state", "#/data/status", `"unknown"`}, {"state", "#/data/at_seq", `-1`}, {"state", "#/id", `"4000000001-7f3a90c2-41"`}, {"state", "#/data/at", `"2026-11-22"`},
		{"net", "#/data/net", `false`}, {"net", "#/data/sweeps", `[880]`}, {"net", "#/data/sweeps", `[880,940,941]`}, {"net", "#/data/sweeps", `[0,940]`},
		{"net", "#/data/to", `"offline"`}, {"net", "#/data/from", `"unknown"`}, {"net", "#/id", `"4000000001-7f3a90c2-41"`},
		{"erased events", "#/data/seqs", `[]`}, {"erased events", "#/data/seqs", `[7]`}, {"erased events", "#/data/seqs", `[[7]]`}, {"erased events", "#/data/seqs", `[[7,8,9]]`},
		{"erased events", "#/data/seqs", `[[0,8]]`}, {"erased events", "#/id", `"4000000001-erased-1"`}, {"erased events", "#/type", `"presence.transition.v1"`},
	} {
		m := all[c.sample]
		if b.judgeAs(typeOf(t, m.data), m.with(t, c.at, json.RawMessage(c.value)).data) == nil {
			t.Errorf("%s: %s = %s is not refused", c.sample, c.at, c.value)
		}
	}
}

// What is not where the contract says, or not with these headers, is refused.
func TestContractRefusesElsewhere(t *testing.T) {
	t.Parallel()
	b := readBoth(t)
	for _, c := range []struct{ sample, field, value string }{
		{"online", "subject", "presence.v2.4000000001.online.alice"}, {"online", "subject", "presence.v1.4000000001.online.a=2eb"},
		{"online", "subject", "presence.v1.4000000001.online.a.b"}, {"online", "subject", "presence.v1.4000000001.online."},
		{"online", "subject", "presence.v1.x.online.alice"}, {"online", "subject", "$KV.presence_4000000001.alice"},
		{"online", "stream", "PRESENCE_4000000002"}, {"online", presence.HeaderSeq, "0"}, {"online", presence.HeaderType, "application/json"},
		{"online", presence.HeaderReplay, "audit-7"}, {"last online", "Nats-Stream-Source", "OTHER 41"}, {"last online", "Nats-Stream-Source", "PRESENCE_4000000001"},
		{"again", presence.HeaderID, "4000000001-7f3a90c2-41"}, {"again", presence.HeaderPosition, "0"}, {"again", presence.HeaderReplay, "a.b"},
		{"again", "subject", "presence.replay.a.b.4000000001.online.alice"}, {"again", "stream", "PRESENCE_REPLAY_4000000001_other"},
		{"state", presence.HeaderSeq, "41"}, {"net", presence.HeaderSeq, "41"}, {"erased events", "subject", "presence.control.v1.erased"},
		{"sweep finished", presence.HeaderSeq, "41"}, {"lease taken", "stream", "PRESENCE_4000000001"}, {"incident", "subject", "presence.v1.4000000001.incident.x"},
	} {
		m := samples(t)[c.sample]
		switch c.field {
		case "subject":
			m.subject = c.value
		case "stream":
			m.stream = c.value
		default:
			m.headers = maps.Clone(m.headers)
			m.headers[c.field] = c.value
		}
		if b.judge(m) == nil {
			t.Errorf("%s: %s %q is not refused", c.sample, c.field, c.value)
		}
	}
}

// The samples are of every sort that the contract has.
func TestContractSamples(t *testing.T) {
	t.Parallel()
	want := map[string]bool{}
	for _, c := range readContract(t, draft2020) {
		for sort := range c.messages {
			want[c.name+" "+sort] = true
		}
	}
	got := map[string]bool{}
	for _, m := range samples(t) {
		for _, c := range readContract(t, draft2020) {
			if c.subject.MatchString(m.subject) {
				got[c.name+" "+typeOf(t, m.data)] = true
			}
		}
	}
	if diff := cmp.Diff(slices.Sorted(maps.Keys(want)), slices.Sorted(maps.Keys(got))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func typeOf(t *testing.T, data []byte) string {
	t.Helper()
	var e struct{ Type string }
	if err := json.Unmarshal(data, &e); err != nil {
		t.Fatal(err)
	}
	return e.Type
}
