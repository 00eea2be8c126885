package presence

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func sample() Event {
	return Event{AppID: 1234567890, Log: "7f3a90c2", Encoding: EncodingV1, Transition: Transition{
		Seq: 41, PrevSeq: 17, User: User{ID: "alice"}, Kind: KindOnline, From: Offline, To: Online,
		After:      time.Date(2026, 11, 22, 18, 42, 36, 107920000, time.UTC),
		ObservedAt: time.Date(2026, 11, 22, 18, 43, 36, 120114000, time.UTC), Sweep: 881,
	}}
}

// The bytes of version 1, for ever: an event that was told once is told again
// as the same bytes years later.
func TestEventBytesOfVersion1(t *testing.T) {
	baseline := sample()
	baseline.Kind, baseline.From, baseline.To = KindBaseline, Unknown, Offline
	baseline.Detail, baseline.After, baseline.PrevSeq = NoSession, time.Time{}, 0
	baseline.User.ID = `a.b>c "<&>\` + "\x01"
	erased := Event{AppID: 1234567890, Log: "7f3a90c2", Encoding: EncodingV1, Transition: Transition{
		Seq: 41, Kind: KindErased, ObservedAt: sample().ObservedAt, Sweep: 881,
	}}
	for _, c := range []struct {
		name  string
		event Event
		want  string
	}{
		{"erased", erased, `{"specversion":"1.0","id":"1234567890-7f3a90c2-41","source":"/zim/1234567890","type":"presence.transition.v1","time":"2026-11-22T18:43:36.120114Z","datacontenttype":"application/json","data":{"app_id":1234567890,"user_id":"","kind":"erased","from":"unknown","to":"unknown","detail":"","observed_at":"2026-11-22T18:43:36.120114Z","after":null,"seq":41,"prev_seq":0,"sweep":881}}`},
		{"transition", sample(), `{"specversion":"1.0","id":"1234567890-7f3a90c2-41","source":"/zim/1234567890","type":"presence.transition.v1","subject":"alice","time":"2026-11-22T18:43:36.120114Z","datacontenttype":"application/json","data":{"app_id":1234567890,"user_id":"alice","kind":"online","from":"offline","to":"online","detail":"","observed_at":"2026-11-22T18:43:36.120114Z","after":"2026-11-22T18:42:36.107920Z","seq":41,"prev_seq":17,"sweep":881}}`},
		{"baseline", baseline, `{"specversion":"1.0","id":"1234567890-7f3a90c2-41","source":"/zim/1234567890","type":"presence.transition.v1","subject":"a.b>c \"<&>\\\u0001","time":"2026-11-22T18:43:36.120114Z","datacontenttype":"application/json","data":{"app_id":1234567890,"user_id":"a.b>c \"<&>\\\u0001","kind":"baseline","from":"unknown","to":"offline","detail":"no_session","observed_at":"2026-11-22T18:43:36.120114Z","after":null,"seq":41,"prev_seq":0,"sweep":881}}`},
	} {
		got, err := c.event.Data()
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

func TestEventRefusesWhatItCannotTell(t *testing.T) {
	for name, mutate := range map[string]func(*Event){
		"encoding": func(e *Event) { e.Encoding = 2 },
		"kind":     func(e *Event) { e.Kind = 0 },
		"status":   func(e *Event) { e.To = 9 },
		"detail":   func(e *Event) { e.Detail = 9 },
		"erased":   func(e *Event) { e.Kind = KindErased },
	} {
		e := sample()
		mutate(&e)
		if data, err := e.Data(); err == nil {
			t.Errorf("%s: got %s, want an error", name, data)
		}
	}
}

func TestParseEventIsTheInverse(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		instant := rapid.Custom(func(t *rapid.T) time.Time {
			return time.UnixMicro(rapid.Int64Range(1, 1<<52).Draw(t, "micro")).UTC()
		})
		want := Event{
			AppID: rapid.Uint32Min(1).Draw(t, "app"), Log: rapid.StringMatching(`[0-9a-f]{8}`).Draw(t, "log"),
			Encoding: EncodingV1,
			Transition: Transition{
				Seq: rapid.Int64Min(1).Draw(t, "seq"), PrevSeq: rapid.Int64Min(0).Draw(t, "prev"),
				User: User{ID: rapid.String().Draw(t, "user")},
				Kind: rapid.SampledFrom([]Kind{KindOnline, KindOffline, KindBaseline, KindRemoved}).Draw(t, "kind"),
				From: rapid.SampledFrom([]Status{Unknown, Offline, Online}).Draw(t, "from"),
				To:   rapid.SampledFrom([]Status{Unknown, Offline, Online}).Draw(t, "to"), ObservedAt: instant.Draw(t, "observed"),
				Detail: rapid.SampledFrom([]Detail{NoDetail, Timeout, NoSession}).Draw(t, "detail"),
				Sweep:  rapid.Int64().Draw(t, "sweep"),
			},
		}
		if rapid.Bool().Draw(t, "after") {
			want.After = instant.Draw(t, "after at")
		}
		data, err := want.Data()
		if err != nil {
			t.Fatal(err)
		}
		got, err := ParseEvent(data)
		if err != nil {
			t.Fatalf("%s: %v", data, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("%s (-want +got):\n%s", data, diff)
		}
	})
}

func TestParseEventRefuses(t *testing.T) {
	e := sample()
	good, err := e.Data()
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string]string{
		"no JSON":       "{",
		"another type":  strings.Replace(string(good), EventType, "presence.state.v1", 1),
		"another seq":   strings.Replace(string(good), `"seq":41`, `"seq":42`, 1),
		"a short id":    strings.Replace(string(good), "1234567890-7f3a90c2-41", "41", 1),
		"a strange one": strings.Replace(string(good), `"kind":"online"`, `"kind":"stale?"`, 1),
		"erased whole":  strings.Replace(string(good), `"kind":"online"`, `"kind":"erased"`, 1),
		"no kind":       strings.Replace(string(good), `"kind":"online"`, `"sort":"online"`, 1),
		"no time":       strings.Replace(string(good), `"observed_at"`, `"seen_at"`, 1),
		"no number":     strings.NewReplacer(`"seq":41`, `"seq":0`, `-41"`, `-0"`).Replace(string(good)),
		"a year of five digits": strings.Replace(string(good), `"observed_at":"2026-11-22T18:43:36.120114Z"`,
			`"observed_at":"9999-12-31T23:59:59-01:00"`, 1),
	} {
		if _, err := ParseEvent([]byte(data)); err == nil {
			t.Errorf("%s: no error for %s", name, data)
		}
	}
}

func TestUserTokens(t *testing.T) {
	for id, want := range map[string]string{
		"alice": "alice", "a.b": "a=2Eb", "x>y": "x=3Ey", "a b": "a=20b", "=2E": "=3D2E", "100%": "100=25",
		"": "", "A-Z_9": "A-Z_9", "*": "=2A",
	} {
		if got := EncodeUser(id); got != want {
			t.Errorf("EncodeUser(%q) = %q, want %q", id, got, want)
		}
	}
	for _, token := range []string{"=", "=2", "=2e", "=ZZ", "a.b", "=41", "a=+1"} {
		if id, err := DecodeUser(token); err == nil {
			t.Errorf("DecodeUser(%q) = %q, want an error", token, id)
		}
	}
	if got, want := Subject(7, KindOffline, "a.b"), "presence.v1.7.offline.a=2Eb"; got != want {
		t.Errorf("Subject = %q, want %q", got, want)
	}
	if got, want := Subject(7, KindErased, ""), "presence.v1.7.erased.="; got != want {
		t.Errorf("Subject = %q, want %q", got, want)
	}
}

func FuzzUserTokens(f *testing.F) {
	for _, id := range []string{"", "alice", "a.b", "=2E", "x>y *", "\xff\x00", "ü"} {
		f.Add(id)
	}
	f.Fuzz(func(t *testing.T, id string) {
		token := EncodeUser(id)
		if strings.ContainsAny(token, ".*> \t\r\n%") {
			t.Errorf("EncodeUser(%q) = %q, which no subject may hold", id, token)
		}
		back, err := DecodeUser(token)
		if err != nil || back != id {
			t.Errorf("DecodeUser(EncodeUser(%q)) = %q, %v", id, back, err)
		}
		if other, err := DecodeUser(id); err == nil && EncodeUser(other) != id {
			t.Errorf("DecodeUser(%q) = %q, which encodes to %q", id, other, EncodeUser(other))
		}
	})
}

func TestCheckUserID(t *testing.T) {
	for _, id := range []string{"a", "a.b", "x>y", "a b", "=2E", "100%", strings.Repeat("x", 64), "!#$%&()+-:;<=.>?@[]^_{}|~"} {
		if err := CheckUserID(id); err != nil {
			t.Errorf("CheckUserID(%q) = %v, want nil", id, err)
		}
	}
	for _, id := range []string{"", strings.Repeat("x", 65), "a/b", "a*b", `a"b`, "a'b", "a\\b", "a,b", "ü", "a\n", "a\x00", "`"} {
		if err := CheckUserID(id); !errors.Is(err, ErrUserID) {
			t.Errorf("CheckUserID(%q) = %v, want ErrUserID", id, err)
		}
	}
}

func TestKindOf(t *testing.T) {
	for _, c := range []struct {
		from, to Status
		want     Kind
	}{
		{Offline, Online, KindOnline}, {Online, Offline, KindOffline}, {Unknown, Online, KindBaseline},
		{Unknown, Offline, KindBaseline}, {Online, Unknown, KindRemoved}, {Offline, Unknown, KindRemoved},
		{Online, Online, 0}, {Unknown, Unknown, 0},
	} {
		if got, ok := KindOf(c.from, c.to); got != c.want || ok != (c.want != 0) {
			t.Errorf("KindOf(%s, %s) = %s, %t; want %s", c.from, c.to, got, ok, c.want)
		}
	}
}

func TestWordsAreReadBack(t *testing.T) {
	for s := Unknown; s <= Online; s++ {
		if got, err := ParseStatus(s.String()); err != nil || got != s {
			t.Errorf("ParseStatus(%q) = %v, %v", s, got, err)
		}
	}
	for d := NoDetail; d <= NoSession; d++ {
		if got, err := ParseDetail(d.String()); err != nil || got != d {
			t.Errorf("ParseDetail(%q) = %v, %v", d, got, err)
		}
	}
	for k := KindOnline; k <= lastKind; k++ {
		if got, err := ParseKind(k.String()); err != nil || got != k {
			t.Errorf("ParseKind(%q) = %v, %v", k, got, err)
		}
	}
	for _, word := range []string{"Online", "status(9)", "x"} {
		if _, err := ParseStatus(word); err == nil {
			t.Errorf("ParseStatus(%q): no error", word)
		}
		if _, err := ParseKind(word); err == nil {
			t.Errorf("ParseKind(%q): no error", word)
		}
		if _, err := ParseDetail(word); err == nil {
			t.Errorf("ParseDetail(%q): no error", word)
		}
	}
}
