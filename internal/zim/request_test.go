package zim

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/zim-presence/poller/internal/zimsim"
	"github.com/zim-presence/poller/presence"
)

// The vector of the ZIM server API's description of the signature.
func TestSignatureVector(t *testing.T) {
	got := sign(12345, "4fd24687296dd9f3", testSecret, 1615186943)
	if want := "43e5cfcca828314675f91b001390566a"; got != want {
		t.Errorf("sign = %s, want %s", got, want)
	}
}

func TestEveryRequestIsSignedAnew(t *testing.T) {
	r := newRig(t, "http://127.0.0.1:1/")
	seen := map[string]bool{}
	for range 1000 {
		q := r.course().request(testApp, numbered(1), time.Unix(1615186943, 0)).URL.Query()
		nonce := q.Get("SignatureNonce")
		if seen[nonce] || len(nonce) != 16 || strings.ToLower(nonce) != nonce {
			t.Fatalf("nonce %q is not 16 new lower-case hex digits", nonce)
		}
		seen[nonce] = true
		if got, want := q.Get("Signature"), sign(testApp, nonce, testSecret, 1615186943); got != want {
			t.Fatalf("signature %s does not go with its nonce: want %s", got, want)
		}
	}
}

func TestAwkwardIDs(t *testing.T) {
	var users []presence.User
	for _, id := range []string{
		"a.b", "x>y", " ", " lead and trail ", "=2E", "100%", "%41", "a+b", "+", "a&UserId[]=b", "a;b", "#?@!$()[]^_{}|~", "-", ":",
		strings.Repeat("#", 64), strings.Repeat("%", 64), strings.Repeat("a", 64), "null", "0", "Online",
	} {
		if err := presence.CheckUserID(id); err != nil {
			t.Fatal(err)
		}
		users = append(users, presence.User{ID: id})
	}
	for i := range 100 - len(users) {
		users = append(users, presence.User{ID: fmt.Sprintf("%02d%s", i, strings.Repeat("|", 62))})
	}
	s := simulator(t, zimsim.Config{Unsettled: zimsim.Unsettled{LongestID: 64}}, users)
	r := newRig(t, s.URL())
	out := r.ask(t.Context(), users)
	if out.err != nil || len(out.observed) != len(users) {
		t.Errorf("%d of %d observed, missed %v, error %v", len(out.observed), len(users), out.missed, out.err)
	}
	out.checkTrue(t, s)
	r.checkBooks(s, out.asked)
	if got := len(s.App(0).Stats().Refused); got != 0 {
		t.Errorf("%d kinds of refusal: %v", got, s.App(0).Stats().Refused)
	}
}

func TestEscapesAreReadBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		id := string(rapid.SliceOfN(rapid.Byte(), 1, 80).Draw(t, "id"))
		escaped := appendEscaped(nil, id)
		if got, err := url.QueryUnescape(string(escaped)); err != nil || got != id {
			t.Errorf("%q was escaped as %s, which reads %q, %v", id, escaped, got, err)
		}
		if got, want := queryLen(id), len(idKey)+len(escaped); got != want {
			t.Errorf("queryLen(%q) = %d, want %d", id, got, want)
		}
	})
}

// Every user is in one batch, in order; no batch is empty, holds more than size
// ids, or makes a request line over 8 KB; and none could have held the next.
func TestBatches(t *testing.T) {
	r := newRig(t, "https://zim-api.zego.im")
	rapid.Check(t, func(t *rapid.T) {
		char := rapid.SampledFrom([]byte("abcXYZ019!#$%&()+-:;<=.>?@[]^_{}|~ "))
		id := rapid.Custom(func(t *rapid.T) string {
			if rapid.Bool().Draw(t, "worst") {
				return strings.Repeat("#", rapid.IntRange(1, 64).Draw(t, "length"))
			}
			return string(rapid.SliceOfN(char, 1, 64).Draw(t, "id"))
		})
		ids := rapid.SliceOfN(id, 0, 400).Draw(t, "ids")
		size := rapid.IntRange(1, 100).Draw(t, "size")
		var users, want, got []presence.User
		keep := func(u presence.User) bool { return u.No%7 != 3 }
		for i, id := range ids {
			u := presence.User{No: uint32(i), ID: id}
			users = append(users, u)
			if keep(u) {
				want = append(want, u)
			}
		}
		var last []presence.User
		for batch := range batches(slices.Values(users), size, keep) {
			if len(batch) == 0 || len(batch) > size {
				t.Fatalf("a batch of %d, the most is %d", len(batch), size)
			}
			line := "GET " + r.course().request(testApp, batch, time.Now()).URL.RequestURI() + " HTTP/1.1\r\n"
			if len(line) >= 8192 {
				t.Fatalf("a request line of %d bytes", len(line))
			}
			if last != nil && len(last) < size && idBytes(last)+queryLen(batch[0].ID) <= maxQuery {
				t.Fatalf("a batch of %d was cut short", len(last))
			}
			if n := idBytes(batch); n > 7<<10 {
				t.Fatalf("a batch of %d bytes of ids", n)
			}
			got, last = append(got, batch...), batch
		}
		if !slices.Equal(got, want) {
			t.Fatalf("%d users in batches, want %d", len(got), len(want))
		}
	})
}

// The worst ids fill a batch by their bytes before they do by their number.
func TestBatchesOfTheWorstIDs(t *testing.T) {
	users := make([]presence.User, 1000)
	for i := range users {
		users[i] = presence.User{No: uint32(i), ID: strings.Repeat("#", 64)}
	}
	for batch := range batches(slices.Values(users), 100, func(presence.User) bool { return true }) {
		if n := idBytes(batch); n > 7<<10 || n < 6<<10 && batch[len(batch)-1].No != 999 {
			t.Errorf("a batch of %d has %d bytes of ids, want just under 7 KB", len(batch), n)
		}
	}
}

func idBytes(batch []presence.User) (n int) {
	for _, u := range batch {
		n += queryLen(u.ID)
	}
	return n
}

func TestBatchesStopWhenToldTo(t *testing.T) {
	for range batches(slices.Values(numbered(1000)), 100, func(presence.User) bool { return true }) {
		return
	}
	t.Error("no batch")
}

func TestNew(t *testing.T) {
	good := Config{BaseURL: "https://zim-api.zego.im", AppID: 1, Secret: "s", Rate: 20, BatchSize: 100, Timeout: time.Second}
	for _, c := range []struct {
		name   string
		change func(*Config)
		ok     bool
		want   string
	}{
		{"good", func(*Config) {}, true, "https://zim-api.zego.im/"},
		{"path", func(c *Config) { c.BaseURL = "http://proxy:81/zim" }, true, "http://proxy:81/zim"},
		{"no scheme", func(c *Config) { c.BaseURL = "zim-api.zego.im" }, false, ""},
		{"other scheme", func(c *Config) { c.BaseURL = "ftp://zim-api.zego.im" }, false, ""},
		{"no host", func(c *Config) { c.BaseURL = "https:///x" }, false, ""},
		{"query", func(c *Config) { c.BaseURL = "https://zim-api.zego.im/?Action=x" }, false, ""},
		{"no url", func(c *Config) { c.BaseURL = "https://%zz" }, false, ""},
		{"batch of none", func(c *Config) { c.BatchSize = 0 }, false, ""},
		{"batch of 101", func(c *Config) { c.BatchSize = 101 }, false, ""},
	} {
		cfg := good
		c.change(&cfg)
		client, err := New(cfg)
		if (err == nil) != c.ok {
			t.Errorf("%s: error %v, want ok %v", c.name, err, c.ok)
		}
		if err == nil && client.course().target.String() != c.want {
			t.Errorf("%s: target %s, want %s", c.name, client.course().target, c.want)
		}
	}
}
