package zim

import (
	"encoding/json"
	"net/http"
	"regexp"
	"testing"
	"time"

	"github.com/zim-presence/poller/presence"
)

// Whatever the server sends: everybody of the batch has one outcome, and nobody
// is observed whom the body does not name with a status that means something.
func FuzzReadReply(f *testing.F) {
	for _, seed := range []string{
		body("0", `,"Result":[{"UserId":"a","Status":"Online"},{"UserId":"b","Status":"Offline"}],"ErrorList":[]`),
		body("0", `,"Result":[{"UserId":"a","Status":"Online"},{"UserId":"a","Status":"Offline"}],"ErrorList":[{"UserId":"b","SubCode":660200001}]`),
		body("660200001", `,"ErrorList":[{"UserId":"a","SubCode":660200001},{"UserId":"b","SubCode":1},{"UserId":"c.d","SubCode":7}]`),
		body("660200001", `,"Result":null,"ErrorList":[]`),
		body("0", `,"result":[{"userid":"a","status":"oNLINE"}],"Result":[{"UserId":"b"}]`),
		body("100000004", ``), body("2", ``), `{"Code":"0"}`, `null`, `<html>`, ``,
	} {
		f.Add(200, "7", []byte(seed))
		f.Add(503, "Sun, 22 Nov 2026 12:00:30 GMT", []byte(seed))
	}
	batch := []presence.User{{No: 1, ID: "a"}, {No: 2, ID: "b"}, {No: 3, ID: "c.d"}, {No: 4, ID: "=2E"}}
	word := regexp.MustCompile(`(?i)"online"|"offline"|660200001|\\u`)
	f.Fuzz(func(t *testing.T, status int, after string, text []byte) {
		header := http.Header{"Retry-After": {after}, "Date": {after}}
		r, e := readReply(batch, status, header, text, time.Now(), testSecret)
		if e != nil {
			if e.Error() == "" || e.RetryAfter < 0 || e.RetryAfter > 5*time.Minute || len(r.observed)+len(r.missed)+len(r.again) > 0 {
				t.Errorf("error %v, again after %s, and %v", e, e.RetryAfter, told(r))
			}
			return
		}
		if words := told(r); len(words) != len(batch) || len(r.observed)+len(r.missed)+len(r.again) != len(batch) {
			t.Errorf("outcomes %v", words)
		}
		if status != http.StatusOK && len(r.observed) > 0 {
			t.Errorf("observed %v under status %d", r.observed, status)
		}
		if len(r.observed) > 0 && !word.Match(text) {
			t.Errorf("observed %v, and the body has no status", r.observed)
		}
		checkBelievable(t, r, text)
	})
}

// checkBelievable reads the body anew; where keys repeat the two readings may
// differ, and the search for words has to do.
func checkBelievable(t *testing.T, r reply, text []byte) {
	var w map[string]any
	if json.Unmarshal(text, &w) != nil || repeatsKeys(text) {
		return
	}
	believable := statusesIn(w)
	for _, o := range r.observed {
		if !believable[o.User.ID] {
			t.Errorf("observed %v, believable are %v", o, believable)
		}
	}
}

// repeatsKeys tells whether an object of the text may have a key twice, in
// whatever case: roughly, and rather once too often.
func repeatsKeys(text []byte) bool {
	for _, key := range []string{"result", "errorlist"} {
		if len(regexp.MustCompile(`(?i)"`+key+`"`).FindAll(text, 2)) > 1 {
			return true
		}
	}
	return regexp.MustCompile(`(?i)\\u|\{[^}]*"(userid|status|subcode)"[^}]*"(userid|status|subcode)"[^}]*"(userid|status|subcode)"`).Match(text)
}
