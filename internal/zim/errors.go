package zim

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// Class says what a failed request asks for. The codes of each are those of the
// ZIM server API, "Response code".
type Class int

const (
	// Weather passes: ask again after a while, a bounded number of times.
	Weather Class = iota + 1
	// Slow: too many requests; everybody waits, then asks again.
	Slow
	// Expired: the signature's time is off; sign again, once.
	Expired
	// Stop: asking goes nowhere until somebody mends the configuration.
	Stop
	// Split: an id of the batch is not acceptable; find it.
	Split
	// Ours: the request is wrong and stays so.
	Ours
)

// String returns a word for logs.
func (c Class) String() string {
	switch c {
	case Weather:
		return "weather"
	case Slow:
		return "slow"
	case Expired:
		return "expired"
	case Stop:
		return "stop"
	case Split:
		return "split"
	case Ours:
		return "ours"
	}
	return "class(" + strconv.Itoa(int(c)) + ")"
}

// codeNoSession says that the user has no session: data, not an error.
const codeNoSession = 660200001

// classOf returns the class of a ZIM code. known is false for a code that the
// vendor's table does not name; it is taken for weather.
func classOf(code int64) (class Class, known bool) {
	switch code {
	case 1, 100000012, 100000015, 660000001, 660000003, 105001, codeNoSession:
		return Weather, true
	case 7, 660300005:
		return Slow, true
	case 100000004:
		return Expired, true
	case 3, 100000005, 100000010, 100000011, 100000016, 100000017, 660000028:
		return Stop, true
	case 2, 660000002, 660000012:
		return Split, true
	case 100000000, 100000001, 100000002, 100000003, 100000006, 100000007, 100000008, 100000009,
		100000013, 100000014, 660000011:
		return Ours, true
	}
	return Weather, false
}

// mend says in a few words what somebody has to do about a code, or nothing.
func mend(code int64) string {
	switch code {
	case 100000004:
		return "compare this machine's clock with the time"
	case 3, 100000005:
		return "check the server secret of the app"
	case 100000010, 100000011:
		return "check the app id, and the app in the console"
	case 100000016, 100000017:
		return "enable the in-app chat service for the app in the console"
	case 660000028:
		return "check the app's plan"
	}
	return ""
}

// Error is a request that brought no answer about anybody. It holds neither
// the URL nor the signature.
type Error struct {
	Class Class
	// Code is ZIM's, 0 when the failure is not ZIM's own.
	Code int64
	// Status is that of HTTP, 0 when there was none.
	Status int
	// Message is what ZIM said, cut and cleaned.
	Message   string
	RequestID string
	// RetryAfter is what the server asked to wait; 0 for nothing.
	RetryAfter time.Duration
	// Skew is how far this machine's clock is ahead of ZIM's, as far as replies have
	// told, 0 for not; only for Expired.
	Skew time.Duration
	// Err is the cause where the failure is not ZIM's own, its text cleaned.
	Err error
	// result labels the attempt.
	result string
	// held: nothing was tried, and is not to be tried again in this call.
	held bool
}

func (e *Error) Error() string {
	var b strings.Builder
	switch {
	case e.Code != 0:
		fmt.Fprintf(&b, "ZIM answered code %d", e.Code)
	case e.Status != 0 && e.Status != http.StatusOK:
		fmt.Fprintf(&b, "ZIM answered HTTP %d", e.Status)
	default:
		b.WriteString("ask ZIM")
	}
	if e.Message != "" {
		fmt.Fprintf(&b, " (%s)", e.Message)
	}
	if e.Err != nil {
		fmt.Fprintf(&b, ": %v", e.Err)
	}
	if m := e.Mend(); m != "" {
		fmt.Fprintf(&b, ": %s", m)
	}
	return b.String()
}

// Mend says in a few words what somebody has to do, in the light of the clocks; empty
// where nothing is known of that.
func (e *Error) Mend() string {
	switch {
	case e.Class != Expired || e.Skew == 0:
		return mend(e.Code)
	case e.Skew.Abs() <= skewAlarm:
		return "our clock agrees with ZIM's, so the request was held up on its way, or sent again by somebody; look at what stands between"
	}
	return skewText(e.Skew) + "; set this machine's clock"
}

func (e *Error) Unwrap() error { return e.Err }

// clean cuts what a server said to a length fit for a log, and takes the secret,
// the request, should the server have echoed them, and control characters out.
func clean(message, secret string) string {
	const most = 200
	if secret != "" {
		message = strings.ReplaceAll(message, secret, "********")
	}
	for _, word := range []string{"Action=", "Signature=", "Signature%3D", "Signature\\u003d"} {
		if i := indexFold(message, word); i >= 0 {
			message = message[:i]
		}
	}
	message = strings.Map(legible, strings.ToValidUTF8(message, "?"))
	if len(message) > most {
		message = strings.ToValidUTF8(message[:most], "") + "…"
	}
	return message
}

// legible replaces what moves the cursor of a terminal, or begins a line.
func legible(r rune) rune {
	if unicode.IsControl(r) {
		return '?'
	}
	return r
}

// indexFold returns the index of an ASCII word without regard to case, or -1.
func indexFold(s, word string) int {
	for i := range len(s) - len(word) + 1 {
		if strings.EqualFold(s[i:i+len(word)], word) {
			return i
		}
	}
	return -1
}
