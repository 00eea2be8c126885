package presence_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/zim-presence/poller/presence"
)

var sweptAt = time.Date(2026, 11, 22, 18, 43, 36, 120114000, time.UTC)

// told is one message of each sort that the holder of a lease tells, with its bytes.
func told() map[string]struct {
	control presence.Control
	text    string
} {
	mark := presence.Mark{AppID: 1234567890, Log: "7f3a90c2", Epoch: 12, N: 345}
	const id = `{"specversion":"1.0","id":"1234567890-7f3a90c2-12-345","source":"/zim/1234567890",`
	return map[string]struct {
		control presence.Control
		text    string
	}{
		"sweep started": {
			&presence.SweepTold{Mark: mark, Sweep: 881, StartedAt: sweptAt, Watched: 50000},
			id + `"type":"presence.sweep.v1","time":"2026-11-22T18:43:36.120114Z","datacontenttype":"application/json",` +
				`"data":{"app_id":1234567890,"phase":"started","sweep":881,"started_at":"2026-11-22T18:43:36.120114Z","watched":50000}}`,
		},
		"sweep finished": {
			&presence.SweepTold{
				Mark: mark, Sweep: 881, StartedAt: sweptAt, Watched: 50000, FinishedAt: sweptAt.Add(25341 * time.Millisecond), Complete: true,
				Seen: 49990, Missed: 10, Held: 3, RemovalsHeld: 2, Transitions: 117, Requests: 501, BudgetUsed: 0.98852, Seq: 4711,
			},
			id + `"type":"presence.sweep.v1","time":"2026-11-22T18:44:01.461114Z","datacontenttype":"application/json",` +
				`"data":{"app_id":1234567890,"phase":"finished","sweep":881,"started_at":"2026-11-22T18:43:36.120114Z","watched":50000,` +
				`"finished_at":"2026-11-22T18:44:01.461114Z","duration_ms":25341,"complete":true,"seen":49990,"missed":10,"held":3,` +
				`"removals_held":2,"transitions":117,"requests":501,"budget_used":0.9885,"seq":4711}}`,
		},
		"incident": {
			&presence.IncidentTold{
				Mark: mark, Incident: 1, BeganAt: sweptAt, EndedAt: sweptAt.Add(3 * time.Second), Outcome: presence.OutcomeDiscarded, Flips: 900,
				Share: 0.75, Decided: 905, Rounds: 2, SampleAsked: 50, SampleAnswered: 48, SampleOffline: 1,
				CanariesAsked: 40, CanariesAnswered: 39, CanariesOffline: 2,
			},
			id + `"type":"presence.incident.v1","time":"2026-11-22T18:43:39.120114Z","datacontenttype":"application/json",` +
				`"data":{"app_id":1234567890,"incident":1,"began_at":"2026-11-22T18:43:36.120114Z","ended_at":"2026-11-22T18:43:39.120114Z",` +
				`"outcome":"discarded","flips":900,"share":0.7500,"decided":905,"rounds":2,"sample_asked":50,"sample_answered":48,` +
				`"sample_offline":1,"canaries_asked":40,"canaries_answered":39,"canaries_offline":2}}`,
		},
		"lease": {
			&presence.LeaseTold{Mark: mark, Owner: `host"1:77:a0b1c2`, At: sweptAt},
			id + `"type":"presence.lease.v1","time":"2026-11-22T18:43:36.120114Z","datacontenttype":"application/json",` +
				`"data":{"app_id":1234567890,"epoch":12,"owner":"host\"1:77:a0b1c2","state":"taken","at":"2026-11-22T18:43:36.120114Z"}}`,
		},
	}
}

func TestControlGolden(t *testing.T) {
	for name, m := range told() {
		data, err := m.control.Data()
		if err != nil || string(data) != m.text {
			t.Errorf("%s:\n%s, %v\nwant\n%s", name, data, err, m.text)
		}
		sort, _, _ := strings.Cut(name, " ")
		if got, want := m.control.Subject(), "presence.control.v1.1234567890."+sort; got != want {
			t.Errorf("%s: subject %s, want %s", name, got, want)
		}
		if got, want := m.control.ID(), "1234567890-7f3a90c2-12-345"; got != want {
			t.Errorf("%s: id %s, want %s", name, got, want)
		}
	}
}

// parsed reads a message with the reader of its sort.
func parsed(data string) (presence.Control, error) {
	switch {
	case strings.Contains(data, presence.SweepType):
		m, err := presence.ParseSweepTold([]byte(data))
		return &m, err
	case strings.Contains(data, presence.IncidentType):
		m, err := presence.ParseIncidentTold([]byte(data))
		return &m, err
	}
	m, err := presence.ParseLeaseTold([]byte(data))
	return &m, err
}

// What is told is read as it was; at random, with figures of every size.
func TestControlRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(0, 1<<40)
		share := rapid.Custom(func(t *rapid.T) float64 { return float64(rapid.IntRange(0, 10000).Draw(t, "part")) / 10000 })
		at := presence.Instant(time.UnixMicro(rapid.Int64Range(0, 4e15).Draw(t, "at")))
		later := at.Add(time.Duration(rapid.Int64Range(0, 1e9).Draw(t, "µs")) * time.Microsecond)
		mark := presence.Mark{
			AppID: rapid.Uint32().Draw(t, "app"), Log: rapid.StringMatching(`[0-9a-f]{8}`).Draw(t, "log"),
			Epoch: rapid.Int64Min(1).Draw(t, "epoch"), N: rapid.Int64Min(1).Draw(t, "n"),
		}
		seen, missed := 1+n.Draw(t, "seen"), n.Draw(t, "missed")
		asked := rapid.IntRange(10, 50)
		for _, m := range []presence.Control{
			&presence.SweepTold{Mark: mark, Sweep: rapid.Int64Min(1).Draw(t, "sweep"), StartedAt: at, Watched: n.Draw(t, "watched")},
			&presence.SweepTold{
				Mark: mark, Sweep: 1, StartedAt: at, Watched: seen + missed, FinishedAt: later, Complete: rapid.Bool().Draw(t, "complete"),
				Seen: seen, Missed: missed, Held: n.Draw(t, "held"), RemovalsHeld: n.Draw(t, "removals"), Transitions: n.Draw(t, "transitions"),
				Requests: n.Draw(t, "requests"), BudgetUsed: share.Draw(t, "used"), Seq: rapid.Int64Min(0).Draw(t, "seq"),
			},
			&presence.IncidentTold{
				Mark: mark, Incident: 7, BeganAt: at, EndedAt: later, Outcome: rapid.SampledFrom([]string{"released", "discarded"}).Draw(t, "outcome"),
				Flips: n.Draw(t, "flips"), Share: share.Draw(t, "share"), Decided: n.Draw(t, "decided"), Rounds: n.Draw(t, "rounds"),
				SampleAsked: asked.Draw(t, "sample"), SampleAnswered: 9, SampleOffline: 8,
				CanariesAsked: asked.Draw(t, "canaries"), CanariesAnswered: 4, CanariesOffline: 3,
			},
			&presence.LeaseTold{Mark: mark, Owner: rapid.StringN(1, 40, -1).Draw(t, "owner"), Released: rapid.Bool().Draw(t, "released"), At: at},
		} {
			data, err := m.Data()
			if err != nil {
				t.Fatal(err)
			}
			if !json.Valid(data) {
				t.Fatalf("no JSON: %s", data)
			}
			got, err := parsed(string(data))
			if err != nil {
				t.Fatalf("%s: %v", data, err)
			}
			if diff := cmp.Diff(m, got); diff != "" {
				t.Fatalf("round trip (-was +is):\n%s", diff)
			}
		}
	})
}

func TestControlRefused(t *testing.T) {
	all := told()
	for _, c := range []struct{ sort, old, other string }{
		{"sweep started", "sweep.v1", "sweep.v2"}, {"sweep started", `"phase":"started"`, `"phase":"paused"`}, {"sweep started", `"sweep":881`, `"sweep":0`},
		{"sweep started", `"started_at":"2026`, `"started_at":"0001-01-01T00:00:00Z","x":"`}, {"sweep started", `"watched":50000`, `"watched":-1`},
		{"sweep started", `-12-345`, `-0-345`}, {"sweep started", `-12-345`, `-12-0`}, {"sweep started", `-12-345`, `-12`}, {"sweep started", `-12-345`, `-012-345`},
		{"sweep started", "7f3a90c2", "7f3a90c"}, {"sweep started", "7f3a90c2", "7F3A90C2"}, {"sweep started", `"app_id":1234567890`, `"app_id":1`},
		{"sweep started", `{"specversion"`, `["specversion"`}, {"sweep finished", `"finished_at":"2026`, `"x":"`}, {"sweep finished", `finished_at":"2026`, `finished_at":"2025`},
		{"sweep finished", `"seen":49990`, `"seen":49989`}, {"sweep finished", `"missed":10`, `"missed":-1`}, {"sweep finished", `"held":3`, `"held":-1`},
		{"sweep finished", `"seen":49990,"missed":10`, `"seen":0,"missed":50000`},
		{"sweep finished", `"budget_used":0.9885`, `"budget_used":1.0001`}, {"sweep finished", `"budget_used":0.9885`, `"budget_used":-0.1`},
		{"sweep finished", `"seq":4711`, `"seq":-1`}, {"sweep finished", `"complete":true`, `"complete":"yes"`},
		{"incident", `"discarded"`, `"forgotten"`}, {"incident", `"incident":1`, `"incident":0`}, {"incident", `"share":0.7500`, `"share":2`},
		{"incident", `"sample_offline":1`, `"sample_offline":49`}, {"incident", `"canaries_offline":2`, `"canaries_offline":40`},
		{"incident", `"sample_answered":48`, `"sample_answered":51`}, {"incident", `"canaries_answered":39`, `"canaries_answered":41`}, {"incident", `"flips":900`, `"flips":-900`},
		{"incident", `"ended_at":"2026`, `"ended_at":"2025`}, {"incident", `"began_at"`, `"begun_at"`}, {"incident", `-12-345`, `-12-345-1`},
		{"lease", `"taken"`, `"lost"`}, {"lease", `"epoch":12`, `"epoch":13`}, {"lease", `"at":`, `"on":`}, {"lease", "lease.v1", "erased.v1"},
		{"lease", `"owner":"host\"1:77:a0b1c2"`, `"owner":""`},
	} {
		text := strings.Replace(all[c.sort].text, c.old, c.other, 1)
		if text == all[c.sort].text {
			t.Errorf("%s has no %s", c.sort, c.old)
		}
		if m, err := parsed(text); err == nil {
			t.Errorf("%s with %s was read as %+v, want an error", c.sort, c.other, m)
		}
	}
	for name, m := range all {
		more := strings.Replace(m.text, `"data":{`, `"region":"x","data":{"more":[1],`, 1)
		if _, err := parsed(more); err != nil {
			t.Errorf("%s with more fields: %v", name, err)
		}
	}
}

// What cannot be told is not told in part.
func TestControlUntellable(t *testing.T) {
	mark := presence.Mark{AppID: 1, Log: "7f3a90c2", Epoch: 1, N: 1}
	for name, m := range map[string]presence.Control{
		"no mark":            &presence.LeaseTold{Mark: presence.Mark{AppID: 1, Log: "x", Epoch: 1, N: 1}, Owner: "me", At: sweptAt},
		"no time":            &presence.LeaseTold{Mark: mark, Owner: "me"},
		"nobody":             &presence.LeaseTold{Mark: mark, At: sweptAt},
		"ends before it":     &presence.SweepTold{Mark: mark, Sweep: 1, StartedAt: sweptAt, FinishedAt: sweptAt.Add(-1)},
		"somebody not asked": &presence.SweepTold{Mark: mark, Sweep: 1, StartedAt: sweptAt, FinishedAt: sweptAt, Complete: true, Watched: 2, Seen: 1},
		"no outcome":         &presence.IncidentTold{Mark: mark, Incident: 1, BeganAt: sweptAt, EndedAt: sweptAt},
	} {
		if data, err := m.Data(); err == nil {
			t.Errorf("%s: %s, want an error", name, data)
		}
	}
}

// FuzzParseControl feeds the readers any bytes. What they take is told in bytes
// that they read as the same.
func FuzzParseControl(f *testing.F) {
	for _, m := range told() {
		f.Add(m.text)
		f.Add(strings.ReplaceAll(m.text, "Z\"", "+23:59\""))
		f.Add(strings.ReplaceAll(m.text, "2026", "9999"))
		f.Add(strings.ReplaceAll(m.text, "345", "9223372036854775808"))
		f.Add(strings.ReplaceAll(m.text, `}}`, `,"phase":"finished","share":1e-9}}`))
	}
	f.Fuzz(func(t *testing.T, text string) {
		m, err := parsed(text)
		if err != nil {
			return
		}
		data, err := m.Data()
		if err != nil {
			t.Fatalf("%q was read as %+v, which cannot be told: %v", text, m, err)
		}
		again, err := parsed(string(data))
		if err != nil {
			t.Fatalf("%q was told as %s, and then not read: %v", text, data, err)
		}
		if twice, err := again.Data(); err != nil || string(twice) != string(data) {
			t.Errorf("%s was then told as %s, %v", data, twice, err)
		}
	})
}
