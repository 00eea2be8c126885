package callback

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// The vector of ZIM's documentation.
func TestSignature(t *testing.T) {
	const want = "5bd59fd62953a8059fb7eaba95720f66d19e4517"
	if got := Sign("secret", "1470820198", "123412"); got != want {
		t.Errorf("signature %s, want %s", got, want)
	}
}

const (
	app    = 4_000_000_001
	secret = "0123456789abcdef0123456789abcdef"
)

// rig is a receiver whose clock stands still.
type rig struct {
	*Receiver
	at      time.Time
	hints   []Hint
	refusal []string
	full    bool
}

func newRig() *rig {
	r := &rig{at: time.Unix(1_700_000_000, 0)}
	r.Receiver = New(func(h Hint) bool {
		r.hints = append(r.hints, h)
		return !r.full
	}, func(app uint32, why Outcome) { r.refusal = append(r.refusal, fmt.Sprintf("%d %s", app, why)) })
	r.now = func() time.Time { return r.at }
	r.SetSecrets(map[uint32]string{app: secret, 7: "another", 8: ""})
	return r
}

func (r *rig) post(body string) int {
	w := httptest.NewRecorder()
	r.ServeHTTP(w, httptest.NewRequest(http.MethodPost, Path, strings.NewReader(body)))
	return w.Code
}

// signed is a callback as ZIM's documentation shows it, signed by secret; fields replaces
// some, or adds to them.
func (r *rig) signed(secret string, fields ...string) string {
	timestamp := fmt.Sprint(r.at.Unix())
	body := `{"appid":"4000000001","event":"user_action","timestamp":` + timestamp + `,"nonce":"350176","signature":"` +
		Sign(secret, timestamp, "350176") + `","user_id":"alice","user_name":"Alice","os":"PC","action":0,"session_id":"930821637828251648",` +
		`"login_time":1679553625,"relogin":"1"}`
	for i := 0; i < len(fields); i += 2 {
		if !strings.Contains(body, fields[i]) {
			panic(fields[i])
		}
		body = strings.Replace(body, fields[i], fields[i+1], 1)
	}
	return body
}

func TestReceiver(t *testing.T) {
	r := newRig()
	before, now := fmt.Sprint(r.at.Add(-11*time.Minute).Unix()), fmt.Sprint(r.at.Unix())
	signature := Sign(secret, now, "350176")
	online := []Hint{{App: app, User: "alice", Online: true}}
	offline := []Hint{{App: app, User: "alice"}}
	for name, test := range map[string]struct {
		body    string
		status  int
		hints   []Hint
		refused string
	}{
		"login":                {body: r.signed(secret), status: 200, hints: online},
		"logout":               {body: r.signed(secret, `"action":0`, `"action":1`), status: 200, hints: offline},
		"heartbeat lost":       {body: r.signed(secret, `"action":0`, `"action":2`), status: 200, hints: offline},
		"all texts":            {body: r.signed(secret, `"action":0`, `"action":"1"`, now, `"`+now+`"`), status: 200, hints: offline},
		"numbers":              {body: r.signed(secret, `"4000000001"`, `4000000001`, `"350176"`, `350176`), status: 200, hints: online},
		"percent-encoded":      {body: url.QueryEscape(r.signed(secret, "alice", "a+b c%")), status: 200, hints: []Hint{{app, "a+b c%", true}}},
		"form":                 {body: url.Values{"appid": {"4000000001"}, "event": {"user_action"}, "timestamp": {now}, "nonce": {"350176"}, "signature": {signature}, "user_id": {"a&b"}, "action": {"2"}}.Encode(), status: 200, hints: []Hint{{app, "a&b", false}}},
		"signed in capitals":   {body: r.signed(secret, signature, strings.ToUpper(signature)), status: 200, hints: online},
		"forged":               {body: r.signed(secret, signature, strings.Repeat("0", 40)), status: 401, refused: "4000000001 forged"},
		"signed by another":    {body: r.signed("another"), status: 401, refused: "4000000001 forged"},
		"of an unknown app":    {body: r.signed(secret, "4000000001", "9"), status: 401, refused: "0 forged"},
		"of an app without":    {body: r.signed("", "4000000001", "8"), status: 401, refused: "0 forged"},
		"time not signed":      {body: r.signed(secret, now, now+"0"), status: 401, refused: "4000000001 forged"},
		"late":                 {body: r.signed(secret, now, before, signature, Sign(secret, before, "350176")), status: 200, refused: "4000000001 late"},
		"another event":        {body: r.signed(secret, "user_action", "room_enter"), status: 200, refused: "4000000001 foreign"},
		"another action":       {body: r.signed(secret, `"action":0`, `"action":3`), status: 400, refused: "4000000001 malformed"},
		"no action":            {body: r.signed(secret, `"action":0`, `"action":null`), status: 400, refused: "4000000001 malformed"},
		"nobody":               {body: r.signed(secret, "alice", ""), status: 400, refused: "4000000001 malformed"},
		"a name too long":      {body: r.signed(secret, "alice", strings.Repeat("x", 65)), status: 400, refused: "4000000001 malformed"},
		"the longest name":     {body: r.signed(secret, "alice", strings.Repeat("x", 64)), status: 200, hints: []Hint{{app, strings.Repeat("x", 64), true}}},
		"a time that is none":  {body: r.signed(secret, now, `"soon"`, signature, Sign(secret, "soon", "350176")), status: 400, refused: "4000000001 malformed"},
		"no signature":         {body: r.signed(secret, signature, ""), status: 400, refused: "0 malformed"},
		"a signature of lists": {body: r.signed(secret, `"`+signature+`"`, `["`+signature+`"]`), status: 400, refused: "0 malformed"},
		"no json":              {body: "{", status: 400, refused: "0 malformed"},
		"nothing":              {body: "", status: 400, refused: "0 malformed"},
		"a list":               {body: "[]", status: 400, refused: "0 malformed"},
		"too large":            {body: r.signed(secret) + strings.Repeat(" ", maxBody), status: 413, refused: "0 malformed"},
	} {
		t.Run(name, func(t *testing.T) {
			r.hints, r.refusal = nil, nil
			if got := r.post(test.body); got != test.status {
				t.Errorf("%s: status %d, want %d", test.body, got, test.status)
			}
			if diff := cmp.Diff(test.hints, r.hints); diff != "" {
				t.Errorf("hints (-want +got):\n%s", diff)
			}
			if got := strings.Join(r.refusal, ", "); got != test.refused {
				t.Errorf("refused %q, want %q", got, test.refused)
			}
		})
	}
}

// Its time may be ten minutes off, and no second more.
func TestTolerance(t *testing.T) {
	r := newRig()
	body, signedAt := r.signed(secret), r.at
	for off, taken := range map[time.Duration]bool{0: true, Tolerance: true, -Tolerance: true, Tolerance + time.Second: false, -Tolerance - time.Second: false} {
		r.hints, r.at = nil, signedAt.Add(off)
		if status := r.post(body); status != http.StatusOK || (len(r.hints) == 1) != taken {
			t.Errorf("%s off: status %d, hints %v", off, status, r.hints)
		}
	}
}

// What nobody can take at the moment is asked for once more; secrets may change; and
// whoever looks around learns nothing.
func TestAnswers(t *testing.T) {
	r := newRig()
	r.full = true
	if status := r.post(r.signed(secret)); status != http.StatusServiceUnavailable {
		t.Errorf("nobody takes it: status %d, want 503", status)
	}
	r.full = false
	r.SetSecrets(map[uint32]string{app: "a new one"})
	if was, is := r.post(r.signed(secret)), r.post(r.signed("a new one")); was != 401 || is != 200 {
		t.Errorf("by the secret before %d, by the new one %d; want 401 and 200", was, is)
	}
	for _, test := range []struct {
		method, path string
		want         int
	}{{http.MethodGet, Path, 405}, {http.MethodHead, Path, 405}, {http.MethodPost, "/", 404}, {http.MethodPost, Path + "/", 404}, {http.MethodGet, "/metrics", 404}} {
		w := httptest.NewRecorder()
		r.ServeHTTP(w, httptest.NewRequest(test.method, test.path, strings.NewReader(r.signed("a new one"))))
		if w.Code != test.want {
			t.Errorf("%s %s: %d, want %d", test.method, test.path, w.Code, test.want)
		}
	}
}

// However many come at once, one is judged at a time, and all are.
func TestOneIsJudgedAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig()
		body := r.signed(secret)
		r.take = func(Hint) bool { time.Sleep(time.Second); return true }
		began := time.Now()
		var posting sync.WaitGroup
		for range 20 {
			posting.Go(func() {
				if status := r.post(body); status != http.StatusOK {
					t.Errorf("status %d", status)
				}
			})
		}
		posting.Wait()
		if took := time.Since(began); took != 20*time.Second {
			t.Errorf("20 calls of a second each took %s, want one behind the other", took)
		}
	})
}

// Whatever is posted, nothing comes of it that was not signed.
func FuzzReceiver(f *testing.F) {
	r := newRig()
	f.Add(r.signed("guessed"))
	f.Add(url.QueryEscape(r.signed("guessed")))
	f.Add("appid=4000000001&event=user_action&timestamp=1700000000&nonce=1&signature=x&user_id=a&action=1")
	f.Add(`{"appid":{},"nonce":[1]}`)
	f.Fuzz(func(t *testing.T, body string) {
		r := newRig()
		if status := r.post(body); status == http.StatusOK || len(r.hints) > 0 || len(r.refusal) != 1 {
			t.Errorf("%q: status %d, hints %v, refused %v", body, status, r.hints, r.refusal)
		}
	})
}
