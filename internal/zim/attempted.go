package zim

import (
	"errors"
	"net/http"
	"time"

	"github.com/zim-presence/poller/presence"
)

// Attempt is what became of one request. It holds neither the URL nor the
// signature nor the secret.
type Attempt struct {
	// Result is a word of a small fixed set: a code of the ZIM server API that
	// this program knows, http_<status class>, timeout, cut, unreadable or other.
	Result  string
	Elapsed time.Duration
	Lane    Lane
	// AskedAt is when the request left, At when its reply was read or its end was
	// known; both as [presence.Instant].
	AskedAt, At time.Time
	// Code is ZIM's, of a good reply too; 0 when none was read.
	Code int64
	// Status is that of HTTP, 0 when there was none.
	Status int
	// RequestID is ZIM's, cut and cleaned; "" when none was read.
	RequestID string
	// Batch is who was asked about, Observations and Missed what the reply said, in
	// the order of the batch; users who are in neither have had no answer. All three
	// belong to the client: they are not to be changed, nor kept.
	Batch        []presence.User
	Observations []presence.Observation
	Missed       []presence.Miss
}

// newAttempt returns what there is to tell of a request.
func newAttempt(lane Lane, batch []presence.User, r reply, answer presence.Answer, took time.Duration, err error) Attempt {
	t := Attempt{
		Result: resultOf(err), Elapsed: took, Lane: lane, AskedAt: answer.AskedAt, At: answer.At,
		Batch: batch, Observations: r.observed, Missed: r.missed,
	}
	var e *Error
	switch {
	case err == nil:
		t.Code, t.Status, t.RequestID = r.code, http.StatusOK, r.requestID
	case errors.As(err, &e):
		t.Code, t.Status, t.RequestID = e.Code, e.Status, e.RequestID
	}
	return t
}

// resultOf labels an attempt.
func resultOf(err error) string {
	var e *Error
	switch {
	case err == nil:
		return "0"
	case errors.As(err, &e):
		return e.result
	}
	return "cut"
}
