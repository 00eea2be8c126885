package zim

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/zim-presence/poller/presence"
)

// maxBody bounds what is read of a reply; one about 100 users has 15 KB.
const maxBody = 1 << 20

// wireReply is the JSON of a reply. Lists may be null, absent or empty; a name
// that comes twice, as a list or in an entry, makes the reply unreadable.
type wireReply struct {
	Code      *int64         `json:"Code"`
	Message   string         `json:"Message"`
	RequestID jsontext.Value `json:"RequestId"`
	Result    []wireResult   `json:"Result"`
	ErrorList []wireError    `json:"ErrorList"`
}

type wireResult struct {
	UserID string `json:"UserId"`
	Status string `json:"Status"`
}

type wireError struct {
	UserID  string `json:"UserId"`
	SubCode int64  `json:"SubCode"`
}

// reply is what was learned about the users of one request. Everybody is in
// one of the three.
type reply struct {
	observed []presence.Observation
	missed   []presence.Miss
	again    []presence.User // their SubCode says that it passes
	slow     bool            // or that there were too many requests
	invented int             // named, but not asked about

	code      int64 // ZIM's; it need not be 0 where users are named
	requestID string
}

// readReply judges a reply: ErrorList first, for with it a Code that is not 0
// comes with data; without, such a Code is the failure of the whole request, and
// nothing is known about anybody.
func readReply(batch []presence.User, status int, header http.Header, body []byte, now time.Time, secret string) (reply, *Error) {
	var w wireReply
	err := json.Unmarshal(body, &w)
	if err == nil && w.Code == nil {
		err = errors.New("a reply without Code")
	}
	failed := err == nil && *w.Code != 0 && len(w.ErrorList) == 0
	switch {
	case failed && status != http.StatusTooManyRequests:
		return reply{}, refused(&w, status, header, now, secret)
	case err != nil || status != http.StatusOK:
		return reply{}, unreadable(status, header, err, now)
	}
	r := collect(batch, &w)
	r.code, r.requestID = *w.Code, clean(text(w.RequestID), secret)
	return r, nil
}

// unreadable is the error of a reply that is not ZIM's own, or not in its form.
func unreadable(status int, header http.Header, err error, now time.Time) *Error {
	e := &Error{Class: Weather, Status: status, RetryAfter: retryAfter(header, now), result: "unreadable"}
	switch {
	case status == http.StatusTooManyRequests:
		e.Class, e.result = Slow, "http_429"
	case status != http.StatusOK:
		e.result = "http_" + strconv.Itoa(status/100) + "xx"
	default:
		e.Err = fmt.Errorf("read the reply: %w", err)
	}
	return e
}

func refused(w *wireReply, status int, header http.Header, now time.Time, secret string) *Error {
	class, known := classOf(*w.Code)
	e := &Error{
		Class: class, Code: *w.Code, Status: status, Message: clean(w.Message, secret),
		RequestID: clean(text(w.RequestID), secret), RetryAfter: retryAfter(header, now), result: "other",
	}
	if known {
		e.result = strconv.FormatInt(e.Code, 10)
	}
	if date, err := http.ParseTime(header.Get("Date")); class == Expired && err == nil {
		e.Skew = now.Sub(date)
	}
	return e
}

// text returns a JSON string's content, and other JSON as it is.
func text(raw jsontext.Value) string {
	if len(raw) == 0 {
		return ""
	}
	var s string
	if json.Unmarshal(raw, &s) != nil {
		return string(raw)
	}
	return s
}

// retryAfter reads the header in either of its forms; 0 for none, or nonsense. A
// date is by the server's clock, which the reply shows. Nobody is left alone for
// longer than five minutes, whatever a server says.
func retryAfter(header http.Header, now time.Time) time.Duration {
	const most = 5 * time.Minute
	value := header.Get("Retry-After")
	if seconds, err := strconv.ParseFloat(value, 64); err == nil && seconds >= 0 {
		return time.Duration(min(seconds, most.Seconds()) * float64(time.Second))
	}
	if at, err := http.ParseTime(value); err == nil {
		if date, err := http.ParseTime(header.Get("Date")); err == nil {
			now = date
		}
		return min(most, max(0, at.Sub(now)))
	}
	return 0
}

var errAgain = errors.New("the reply says of some users that it passes")

// passing is the failure of those who are to be asked again.
func (r *reply) passing() *Error {
	if r.slow {
		return &Error{Class: Slow, Err: errAgain}
	}
	return &Error{Class: Weather, Err: errAgain}
}

// verdict is what the reply says about one user so far.
type verdict struct {
	named    bool
	conflict bool
	again    Class               // Weather or Slow, 0 for an answer
	missed   presence.MissReason // "" for an observation
	status   presence.Status
	detail   presence.Detail
}

// collect reads the lists user by user.
func collect(batch []presence.User, w *wireReply) reply {
	place := make(map[string]int, len(batch))
	for i, u := range batch {
		place[u.ID] = i
	}
	var r reply
	verdicts := make([]verdict, len(batch))
	name := func(id string, v verdict) {
		i, asked := place[id]
		if !asked {
			r.invented++
			return
		}
		verdicts[i] = verdicts[i].and(v)
	}
	for _, e := range w.ErrorList {
		name(e.UserID, ofSubCode(e.SubCode))
	}
	for _, e := range w.Result {
		name(e.UserID, ofStatus(e.Status))
	}
	r.observed = make([]presence.Observation, 0, len(batch))
	for i, v := range verdicts {
		r.add(batch[i], v)
	}
	return r
}

func (r *reply) add(u presence.User, v verdict) {
	switch {
	case !v.named:
		r.missed = append(r.missed, presence.Miss{User: u, Reason: presence.MissAbsent})
	case v.conflict:
		r.missed = append(r.missed, presence.Miss{User: u, Reason: presence.MissConflict})
	case v.again != 0:
		r.again = append(r.again, u)
		r.slow = r.slow || v.again == Slow
	case v.missed != "":
		r.missed = append(r.missed, presence.Miss{User: u, Reason: v.missed})
	default:
		r.observed = append(r.observed, presence.Observation{User: u, Status: v.status, Detail: v.detail})
	}
}

// and joins two entries about one user. Two that differ contradict each other,
// except that no_session says more about being offline than timeout does.
func (v verdict) and(next verdict) verdict {
	next.named = true
	if !v.named || v == next {
		return next
	}
	if !v.conflict && v.isOffline() && next.isOffline() {
		next.detail = presence.NoSession
		return next
	}
	return verdict{named: true, conflict: true}
}

func (v verdict) isOffline() bool {
	return v.again == 0 && v.missed == "" && v.status == presence.Offline
}

// ofStatus reads a status word, without regard to case: the documents say
// Online, some programs that are known to work compare with online.
func ofStatus(word string) verdict {
	switch {
	case strings.EqualFold(word, "online"):
		return verdict{status: presence.Online}
	case strings.EqualFold(word, "offline"):
		return verdict{status: presence.Offline, detail: presence.Timeout}
	}
	return verdict{missed: presence.MissUnreadable}
}

func ofSubCode(code int64) verdict {
	if code == codeNoSession {
		return verdict{status: presence.Offline, detail: presence.NoSession}
	}
	switch class, known := classOf(code); {
	case known && (class == Weather || class == Slow):
		return verdict{again: class}
	case class == Split:
		return verdict{missed: presence.MissRefused}
	}
	return verdict{missed: presence.MissUnreadable}
}
