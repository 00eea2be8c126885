package zim

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/zim-presence/poller/presence"
)

// told writes what a reply says about each user of a batch as a word.
func told(r reply) map[string]string {
	words := map[string]string{}
	add := func(id, word string) { words[id] += word }
	for _, o := range r.observed {
		add(o.User.ID, strings.TrimSpace(o.Status.String()+" "+o.Detail.String()))
	}
	for _, m := range r.missed {
		add(m.User.ID, string(m.Reason))
	}
	for _, u := range r.again {
		add(u.ID, "again")
	}
	return words
}

// body is a reply with the given members behind Message.
func body(code, rest string) string {
	return `{"Code":` + code + `,"Message":"m","RequestId":"343649807833778782"` + rest + `}`
}

// Every reply that says something about somebody.
func TestRepliesWithData(t *testing.T) {
	const (
		on, off  = `{"UserId":"a","Status":"Online"}`, `{"UserId":"a","Status":"Offline"}`
		gone     = `{"UserId":"a","SubCode":660200001}`
		bOn      = `{"UserId":"b","Status":"Online"}`
		absent   = "absent"
		conflict = "conflict"
		unread   = "unreadable"
	)
	for _, c := range []struct {
		name, body string
		a, b       string
		invented   int
	}{
		{"all in Result", body("0", `,"Result":[`+on+`,{"UserId":"b","Status":"Offline"}],"ErrorList":[]`), "online", "offline timeout", 0},
		{"partial", body("0", `,"Result":[`+bOn+`],"ErrorList":[`+gone+`]`), "offline no_session", "online", 0},
		{"some left out", body("0", `,"Result":[`+bOn+`],"ErrorList":null`), absent, "online", 0},
		{"all in ErrorList, Code not 0", body("660200001", `,"Result":null,"ErrorList":[`+gone+`,{"UserId":"b","SubCode":660200001}]`), "offline no_session", "offline no_session", 0},
		{"all in ErrorList, Code 0", body("0", `,"Result":[],"ErrorList":[`+gone+`,{"UserId":"b","SubCode":660200001}]`), "offline no_session", "offline no_session", 0},
		{"Code not 0 with both lists", body("660200001", `,"Result":[`+bOn+`],"ErrorList":[`+gone+`]`), "offline no_session", "online", 0},
		{"null lists", body("0", `,"Result":null,"ErrorList":null`), absent, absent, 0},
		{"no lists", body("0", ``), absent, absent, 0},
		{"empty lists", body("0", `,"Result":[],"ErrorList":[]`), absent, absent, 0},
		{"null elements", body("0", `,"Result":[null],"ErrorList":[null]`), absent, absent, 2},
		{"both lists, online", body("0", `,"Result":[`+on+`],"ErrorList":[`+gone+`]`), conflict, absent, 0},
		{"both lists, offline", body("0", `,"Result":[`+off+`],"ErrorList":[`+gone+`]`), "offline no_session", absent, 0},
		{"both lists, offline twice", body("0", `,"Result":[`+off+`,`+off+`],"ErrorList":[`+gone+`]`), "offline no_session", absent, 0},
		{"twice alike", body("0", `,"Result":[`+on+`,`+on+`,`+bOn+`,`+bOn+`,`+bOn+`]`), "online", "online", 0},
		{"twice contradicting", body("0", `,"Result":[`+on+`,`+off+`,`+bOn+`]`), conflict, "online", 0},
		{"contradicting, then again", body("0", `,"Result":[`+on+`,`+off+`,`+off+`,`+off+`,`+on+`]`), conflict, absent, 0},
		{"known and unknown word", body("0", `,"Result":[`+on+`,{"UserId":"a","Status":"Busy"}]`), conflict, absent, 0},
		{"online and to be asked again", body("0", `,"Result":[`+on+`],"ErrorList":[{"UserId":"a","SubCode":1}]`), conflict, absent, 0},
		{"invented", body("0", `,"Result":[{"UserId":"c","Status":"Online"},`+bOn+`],"ErrorList":[{"UserId":"d","SubCode":660200001},{"UserId":"A","SubCode":1}]`), absent, "online", 3},
		{"unknown words", body("0", `,"Result":[{"UserId":"a","Status":"Onlin"},{"UserId":"b","Status":""}]`), unread, unread, 0},
		{"absent and null status", body("0", `,"Result":[{"UserId":"a"},{"UserId":"b","Status":null}]`), unread, unread, 0},
		{"spaces are no status", body("0", `,"Result":[{"UserId":"a","Status":" Online"},{"UserId":"b","Status":"Offline\n"}]`), unread, unread, 0},
		{"lower case", body("0", `,"Result":[{"UserId":"a","Status":"online"},{"UserId":"b","Status":"offline"}]`), "online", "offline timeout", 0},
		{"any case", body("0", `,"Result":[{"UserId":"a","Status":"ONLINE"},{"UserId":"b","Status":"oFFline"}]`), "online", "offline timeout", 0},
		{"SubCode of weather", body("0", `,"ErrorList":[{"UserId":"a","SubCode":1},{"UserId":"b","SubCode":660000001}]`), "again", "again", 0},
		{"SubCode of the rate", body("7", `,"ErrorList":[{"UserId":"a","SubCode":7},{"UserId":"b","SubCode":660300005}]`), "again", "again", 0},
		{"SubCode of a bad id", body("0", `,"ErrorList":[{"UserId":"a","SubCode":660000012},{"UserId":"b","SubCode":2}]`), "refused", "refused", 0},
		{"SubCode of stop", body("3", `,"ErrorList":[{"UserId":"a","SubCode":3},{"UserId":"b","SubCode":100000005}]`), unread, unread, 0},
		{"SubCode of expired", body("0", `,"ErrorList":[{"UserId":"a","SubCode":100000004},{"UserId":"b","SubCode":100000004}]`), unread, unread, 0},
		{"SubCode of ours", body("0", `,"ErrorList":[{"UserId":"a","SubCode":660000011},{"UserId":"b","SubCode":100000000}]`), unread, unread, 0},
		{"SubCode unknown, none, null", body("0", `,"ErrorList":[{"UserId":"a","SubCode":4711},{"UserId":"b"},{"UserId":"b","SubCode":null}]`), unread, unread, 0},
		{"RequestId a number", `{"Code":0,"RequestId":343649807833778782,"Result":[` + on + `,` + bOn + `]}`, "online", "online", 0},
		{"RequestId odd, further members", `{"Code":0,"RequestId":{"x":[1]},"Result":[` + on + `,` + bOn + `],"More":{"Result":1}}`, "online", "online", 0},
	} {
		r, failure := readReply(pair(), http.StatusOK, http.Header{}, []byte(c.body), time.Now(), testSecret)
		if failure != nil {
			t.Errorf("%s: %v", c.name, failure)
			continue
		}
		if diff := cmp.Diff(map[string]string{"a": c.a, "b": c.b}, told(r)); diff != "" || r.invented != c.invented {
			t.Errorf("%s: invented %d, want %d; want -, got +\n%s", c.name, r.invented, c.invented, diff)
		}
	}
}

func pair() []presence.User { return []presence.User{{No: 1, ID: "a"}, {No: 2, ID: "b"}} }

// Nobody is learned about from any of these, whatever else they say.
func TestRepliesWithoutData(t *testing.T) {
	const data = `,"Result":[{"UserId":"a","Status":"Offline"}]`
	const gone = `,"ErrorList":[{"UserId":"a","SubCode":660200001}]`
	type verdicts struct {
		class  Class
		result string
	}
	cases := map[string]verdicts{
		`null`: {Weather, "unreadable"}, `[]`: {Weather, "unreadable"}, `0`: {Weather, "unreadable"}, `""`: {Weather, "unreadable"}, ``: {Weather, "unreadable"}, `{}`: {Weather, "unreadable"},
		`{` + data[1:] + `}`:                                       {Weather, "unreadable"},
		`{"Code":null` + data + gone + `}`:                         {Weather, "unreadable"},
		`{"Code":"0"` + data + gone + `}`:                          {Weather, "unreadable"},
		`{"Code":0.5` + data + gone + `}`:                          {Weather, "unreadable"},
		`{"Code":1e400` + data + gone + `}`:                        {Weather, "unreadable"},
		`{"Code":[0]` + data + gone + `}`:                          {Weather, "unreadable"},
		`{"Code":99999999999999999999` + data + gone + `}`:         {Weather, "unreadable"},
		body("0", data+gone)[:90]:                                  {Weather, "unreadable"},
		body("0", data+gone) + "}":                                 {Weather, "unreadable"},
		body("0", data+gone) + body("0", data+gone):                {Weather, "unreadable"},
		body("0", `,"Result":{"a":"Offline"}`):                     {Weather, "unreadable"},
		body("0", `,"Result":[{"UserId":7,"Status":"Offline"}]`):   {Weather, "unreadable"},
		body("0", `,"Result":[{"UserId":"a","Status":0}]`):         {Weather, "unreadable"},
		body("0", `,"ErrorList":[{"UserId":"a","SubCode":"x"}]`):   {Weather, "unreadable"},
		body("0", gone+`,"ErrorList":[{"UserId":"b"}]`):            {Weather, "unreadable"},
		body("0", `,"Result":["a"]`):                               {Weather, "unreadable"},
		`{"Code":0 "Message":"m"` + data + `}`:                     {Weather, "unreadable"},
		"<html><body>Code 0</body></html>":                         {Weather, "unreadable"},
		body("660200001", ``):                                      {Weather, "660200001"},
		body("660200001", `,"Result":[],"ErrorList":[]`):           {Weather, "660200001"},
		body("660200001", data):                                    {Weather, "660200001"},
		body("4711", data+`,"ErrorList":null`):                     {Weather, "other"},
		body("-1", data):                                           {Weather, "other"},
		body("1", data):                                            {Weather, "1"},
		body("105001", ``):                                         {Weather, "105001"},
		body("100000012", ``):                                      {Weather, "100000012"},
		body("7", data):                                            {Slow, "7"},
		body("660300005", ``):                                      {Slow, "660300005"},
		body("100000004", ``):                                      {Expired, "100000004"},
		body("3", ``):                                              {Stop, "3"},
		body("100000005", data):                                    {Stop, "100000005"},
		body("100000017", ``):                                      {Stop, "100000017"},
		body("660000028", ``):                                      {Stop, "660000028"},
		body("2", data):                                            {Split, "2"},
		body("660000002", ``):                                      {Split, "660000002"},
		body("660000012", ``):                                      {Split, "660000012"},
		body("100000000", ``):                                      {Ours, "100000000"},
		body("660000011", `,"Result":[],"ErrorList":[]`):           {Ours, "660000011"},
		`{"Code":100000005,"RequestId":5,"Message":"` + "x" + `"}`: {Stop, "100000005"},
	}
	for text, want := range cases {
		for _, status := range []int{200, 204, 301, 400, 403, 414, 429, 500, 502, 503} {
			r, e := readReply(pair(), status, http.Header{}, []byte(text), time.Now(), testSecret)
			if e == nil {
				t.Errorf("status %d, %s: read as %v", status, text, told(r))
				continue
			}
			expect := want
			if status == http.StatusTooManyRequests {
				expect.class, expect.result = Slow, "http_429"
			} else if status != http.StatusOK && want.result == "unreadable" {
				expect.result = fmt.Sprintf("http_%dxx", status/100)
			}
			if got := (verdicts{e.Class, e.result}); got != expect || e.Status != status {
				t.Errorf("status %d, %s: %+v, want %+v", status, text, got, expect)
			}
			if e.Error() == "" {
				t.Errorf("status %d, %s: no words", status, text)
			}
		}
	}
}

// A good body under a status that is not 200 is a proxy's story, not ZIM's.
func TestGoodBodiesUnderBadStatus(t *testing.T) {
	text := body("0", `,"Result":[{"UserId":"a","Status":"Offline"}],"ErrorList":[{"UserId":"b","SubCode":660200001}]`)
	for status, want := range map[int]Class{201: Weather, 302: Weather, 404: Weather, 429: Slow, 500: Weather, 504: Weather} {
		_, e := readReply(pair(), status, http.Header{}, []byte(text), time.Now(), testSecret)
		if e == nil || e.Class != want {
			t.Errorf("status %d: %v, want class %s", status, e, want)
		}
	}
}

func TestRefusalSaysWhatItKnows(t *testing.T) {
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	header := http.Header{"Date": {"Sun, 22 Nov 2026 11:49:00 GMT"}, "Retry-After": {"3"}}
	for id, want := range map[string]string{`"343649807833778782"`: "343649807833778782", `343649807833778782`: "343649807833778782", `null`: "", `{"a":1}`: `{"a":1}`} {
		text := `{"Code":100000004,"Message":"signature expired","RequestId":` + id + `}`
		_, e := readReply(pair(), 200, header, []byte(text), now, testSecret)
		if e == nil || e.RequestID != want || e.Skew != 11*time.Minute || e.RetryAfter != 3*time.Second || e.Message != "signature expired" {
			t.Errorf("%s: %+v", text, e)
		}
	}
}

// The classes of the ZIM server API's codes, and what has to be said about them.
func TestClasses(t *testing.T) {
	for class, codes := range map[Class][]int64{
		Weather: {1, 100000012, 100000015, 660000001, 660000003, 105001, 660200001},
		Slow:    {7, 660300005},
		Expired: {100000004},
		Stop:    {3, 100000005, 100000010, 100000011, 100000016, 100000017, 660000028},
		Split:   {2, 660000002, 660000012},
		Ours:    {100000000, 100000001, 100000002, 100000003, 100000006, 100000007, 100000008, 100000009, 100000013, 100000014, 660000011},
	} {
		for _, code := range codes {
			got, known := classOf(code)
			if got != class || !known {
				t.Errorf("code %d is %s (known %v), want %s", code, got, known, class)
			}
			if needsMending := class == Stop || class == Expired; (mend(code) != "") != needsMending {
				t.Errorf("code %d: mend says %q", code, mend(code))
			}
		}
	}
	for _, code := range []int64{0, -1, 4, 42, 660200002} {
		if class, known := classOf(code); class != Weather || known {
			t.Errorf("code %d is %s (known %v), want unknown weather", code, class, known)
		}
	}
}

// What a server says is cut and cleaned, whatever it says.
func TestClean(t *testing.T) {
	for in, want := range map[string]string{
		"signature wrong":                         "signature wrong",
		"the secret is " + testSecret + "!":       "the secret is ********!",
		"GET /?Action=QueryUserOnlineState&App":   "GET /?",
		"have SIGNATURE=abc":                      "have ",
		"have signature%3dabc":                    "have ",
		strings.Repeat("Ⱥ", 60) + "Signature=abc": strings.Repeat("Ⱥ", 60),
		strings.Repeat("K", 30) + "signature=abc": strings.Repeat("K", 30),
		"\xff\xfe":                     "?",
		"\x1b[2J\r\nall is well\u009b": "?[2J??all is well?",
		strings.Repeat("ä", 150):       strings.Repeat("ä", 100) + "…",
		"x" + strings.Repeat("ä", 150): "x" + strings.Repeat("ä", 99) + "…",
	} {
		if got := clean(in, testSecret); got != want {
			t.Errorf("clean(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestWords(t *testing.T) {
	for c := Weather; c <= Ours+1; c++ {
		if c.String() == "" {
			t.Errorf("class %d has no word", int(c))
		}
	}
	e := &Error{Class: Expired, Code: 100000004, Message: "expired", Skew: 660 * time.Second}
	want := "ZIM answered code 100000004 (expired): our clock is 660 s ahead of ZIM's; set this machine's clock"
	if got := e.Error(); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// statusesIn returns who is named in a body in a way that may be believed, by a
// reading of JSON that shares nothing with the room's.
func statusesIn(w map[string]any) (believable map[string]bool) {
	believable = map[string]bool{}
	for key, list := range w {
		entries, _ := list.([]any)
		for _, entry := range entries {
			member, _ := entry.(map[string]any)
			var id string
			good := false
			for name, value := range member {
				switch {
				case strings.EqualFold(name, "UserId"):
					id, _ = value.(string)
				case strings.EqualFold(key, "Result") && strings.EqualFold(name, "Status"):
					word, _ := value.(string)
					good = good || slices.Contains([]string{"online", "offline"}, strings.ToLower(word))
				case strings.EqualFold(key, "ErrorList") && strings.EqualFold(name, "SubCode"):
					code, _ := value.(float64)
					good = good || code == 660200001
				}
			}
			if good {
				believable[id] = true
			}
		}
	}
	return believable
}
