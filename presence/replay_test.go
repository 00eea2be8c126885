package presence

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func standing() Standing {
	return Standing{
		AppID: 1234567890, Log: "7f3a90c2", User: User{No: 17, ID: "a.b"}, Status: Online, Seq: 40,
		At: time.Date(2026, 11, 22, 18, 43, 36, 120114000, time.UTC),
	}
}

func netChange() NetChange {
	return NetChange{
		AppID: 1234567890, Log: "7f3a90c2", User: User{No: 17, ID: "a.b"}, Kind: KindOnline, From: Offline, To: Online,
		After:      time.Date(2026, 11, 22, 17, 0, 0, 0, time.UTC),
		ObservedAt: time.Date(2026, 11, 22, 18, 43, 36, 120114000, time.UTC), Sweeps: [2]int64{880, 940},
	}
}

// The bytes of what a replay tells beside the events.
func TestReplayBytes(t *testing.T) {
	s, n, first := standing(), netChange(), netChange()
	first.Kind, first.From, first.To, first.After, first.User.ID = KindBaseline, Unknown, Offline, time.Time{}, "\"\x01"
	for _, c := range []struct {
		name string
		data func() ([]byte, error)
		want string
	}{
		{"state", s.Data, `{"specversion":"1.0","id":"1234567890-7f3a90c2-state-40-17","source":"/zim/1234567890","type":"presence.state.v1","subject":"a.b","time":"2026-11-22T18:43:36.120114Z","datacontenttype":"application/json","data":{"app_id":1234567890,"user_id":"a.b","status":"online","at":"2026-11-22T18:43:36.120114Z","at_seq":40}}`},
		{"net", n.Data, `{"specversion":"1.0","id":"1234567890-7f3a90c2-net-880-940-17","source":"/zim/1234567890","type":"presence.net.v1","subject":"a.b","time":"2026-11-22T18:43:36.120114Z","datacontenttype":"application/json","data":{"app_id":1234567890,"user_id":"a.b","kind":"online","from":"offline","to":"online","observed_at":"2026-11-22T18:43:36.120114Z","after":"2026-11-22T17:00:00.000000Z","sweeps":[880,940],"net":true}}`},
		{"net baseline", first.Data, `{"specversion":"1.0","id":"1234567890-7f3a90c2-net-880-940-17","source":"/zim/1234567890","type":"presence.net.v1","subject":"\"\u0001","time":"2026-11-22T18:43:36.120114Z","datacontenttype":"application/json","data":{"app_id":1234567890,"user_id":"\"\u0001","kind":"baseline","from":"unknown","to":"offline","observed_at":"2026-11-22T18:43:36.120114Z","after":null,"sweeps":[880,940],"net":true}}`},
	} {
		got, err := c.data()
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		if string(got) != c.want {
			t.Errorf("%s:\n got %s\nwant %s", c.name, got, c.want)
		}
		if !json.Valid(got) {
			t.Errorf("%s: not valid JSON: %s", c.name, got)
		}
	}
}

func TestAnEventIsRetoldAsItWas(t *testing.T) {
	e := sample()
	e.User.ID = "a.b"
	got, err := e.Again("audit-7", 3)
	if err != nil {
		t.Fatal(err)
	}
	data, err := e.Data()
	if err != nil {
		t.Fatal(err)
	}
	want := Retold{Replay: "audit-7", Position: 3, ID: e.ID(), Seq: 41, Subject: "presence.replay.audit-7.1234567890.online.a=2Eb", Data: data}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got, want := got.MsgID(), "audit-7/1234567890-7f3a90c2-41"; got != want {
		t.Errorf("MsgID = %q, want %q", got, want)
	}
	s, n := standing(), netChange()
	state, err := s.Again("r", 1)
	if want := "presence.replay.r.1234567890.state.a=2Eb"; err != nil || state.Subject != want || state.Seq != 0 {
		t.Errorf("state: got %+v, %v; want subject %s and no seq", state, err, want)
	}
	net, err := n.Again("r", 1)
	if want := "presence.replay.r.1234567890.online.a=2Eb"; err != nil || net.Subject != want || net.Seq != 0 {
		t.Errorf("net change: got %+v, %v; want subject %s and no seq", net, err, want)
	}
}

func TestReplayOfHeaders(t *testing.T) {
	for _, c := range []struct {
		name, position string
		ok             bool
	}{{"r", "1", true}, {"r", "", false}, {"", "1", false}, {"r", "0", false}, {"r", "x", false}, {"a.b", "1", false}} {
		h := http.Header{HeaderReplay: {c.name}, HeaderPosition: {c.position}}
		if name, position, ok := ReplayOf(h.Get); ok != c.ok || ok && (name != "r" || position != 1) {
			t.Errorf("%q %q: got %q, %d, %t; want %t", c.name, c.position, name, position, ok, c.ok)
		}
	}
}

func TestReplayNames(t *testing.T) {
	for _, name := range []string{"a", "Audit_2026-11", strings.Repeat("x", 64)} {
		if err := CheckReplayName(name); err != nil {
			t.Errorf("CheckReplayName(%q) = %v, want nil", name, err)
		}
	}
	for _, name := range []string{"", strings.Repeat("x", 65), "a.b", "a b", "*", ">", "ü", "a/b"} {
		if err := CheckReplayName(name); !errors.Is(err, ErrReplayName) {
			t.Errorf("CheckReplayName(%q) = %v, want ErrReplayName", name, err)
		}
	}
}

func instants() *rapid.Generator[time.Time] {
	return rapid.Custom(func(t *rapid.T) time.Time {
		return time.UnixMicro(rapid.Int64Range(1, 1<<52).Draw(t, "micro")).UTC()
	})
}

func TestParseStandingIsTheInverse(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := Standing{
			AppID: rapid.Uint32Min(1).Draw(t, "app"), Log: rapid.StringMatching(`[0-9a-f]{8}`).Draw(t, "log"),
			User:   User{No: rapid.Uint32().Draw(t, "no"), ID: rapid.StringN(1, -1, -1).Draw(t, "user")},
			Status: rapid.SampledFrom([]Status{Online, Offline}).Draw(t, "status"),
			Seq:    rapid.Int64Min(0).Draw(t, "seq"), At: instants().Draw(t, "at"),
		}
		data, err := want.Data()
		if err != nil {
			t.Fatal(err)
		}
		got, err := ParseStanding(data)
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Fatalf("%s: %v (-want +got):\n%s", data, err, diff)
		}
	})
}

func TestParseNetChangeIsTheInverse(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := NetChange{
			AppID: rapid.Uint32Min(1).Draw(t, "app"), Log: rapid.StringMatching(`[0-9a-f]{8}`).Draw(t, "log"),
			User: User{No: rapid.Uint32().Draw(t, "no"), ID: rapid.StringN(1, -1, -1).Draw(t, "user")},
			From: rapid.SampledFrom([]Status{Unknown, Offline, Online}).Draw(t, "from"), ObservedAt: instants().Draw(t, "observed"),
		}
		want.To = (want.From + rapid.SampledFrom([]Status{1, 2}).Draw(t, "by")) % 3 // always another
		want.Kind, _ = KindOf(want.From, want.To)
		want.Sweeps[0] = rapid.Int64Range(1, 1<<40).Draw(t, "a")
		want.Sweeps[1] = want.Sweeps[0] + rapid.Int64Range(1, 1<<40).Draw(t, "b")
		if rapid.Bool().Draw(t, "after") {
			want.After = instants().Draw(t, "after at")
		}
		data, err := want.Data()
		if err != nil {
			t.Fatal(err)
		}
		got, err := ParseNetChange(data)
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Fatalf("%s: %v (-want +got):\n%s", data, err, diff)
		}
	})
}

func TestReplayWordsRefuse(t *testing.T) {
	s, n := standing(), netChange()
	state, _ := s.Data()
	net, _ := n.Data()
	for name, data := range map[string]string{
		"no JSON":         "{",
		"another type":    strings.Replace(string(state), StandingType, EventType, 1),
		"another seq":     strings.Replace(string(state), `"at_seq":40`, `"at_seq":41`, 1),
		"an unknown user": strings.Replace(string(state), `"status":"online"`, `"status":"unknown"`, 1),
		"nobody":          strings.Replace(string(state), `"user_id":"a.b"`, `"user_id":""`, 1),
		"a short id":      strings.Replace(string(state), "1234567890-7f3a90c2-state-40-17", "17", 1),
	} {
		if got, err := ParseStanding([]byte(data)); err == nil {
			t.Errorf("%s: no error for %s: %+v", name, data, got)
		}
	}
	for name, data := range map[string]string{
		"no JSON":        "{",
		"another type":   strings.Replace(string(net), NetChangeType, EventType, 1),
		"other sweeps":   strings.Replace(string(net), "[880,940]", "[880,941]", 1),
		"another kind":   strings.Replace(string(net), `"kind":"online"`, `"kind":"offline"`, 1),
		"no change":      strings.Replace(string(net), `"from":"offline"`, `"from":"online"`, 1),
		"nobody":         strings.Replace(string(net), `"user_id":"a.b"`, `"user_id":""`, 1),
		"swapped sweeps": strings.NewReplacer("[880,940]", "[940,880]", "880-940", "940-880").Replace(string(net)),
	} {
		if got, err := ParseNetChange([]byte(data)); err == nil {
			t.Errorf("%s: no error for %s: %+v", name, data, got)
		}
	}
	s.Status = Unknown
	n.Kind = KindErased
	if _, err := s.Again("r", 1); err == nil {
		t.Error("a state of nobody known was told")
	}
	if _, err := n.Again("r", 1); err == nil {
		t.Error("a net change that is none was told")
	}
}
