package callback

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/url"
	"strconv"
	"time"
	"unicode/utf8"
)

// maxID is how many bytes a user id has at the most.
const maxID = 64

// userAction is the event of a login or logout; ZIM has others, which are none of ours.
const userAction = "user_action"

// body is a callback, as far as it is of interest.
type body struct {
	app                         uint32
	event                       string
	timestamp, nonce, signature string // as they were signed
	user, action                string
}

// errMalformed says that a body is no callback. What is wrong with it is nobody's
// business but the sender's.
var errMalformed = errors.New("malformed callback")

// parse reads a callback: a JSON object, the same in percent-encoding, as ZIM's
// documents have it, or a form, as older ones do. Numbers may be texts and the other
// way round: a signature is over what stands there.
func parse(text []byte) (b body, err error) {
	field, err := fields(text)
	if err != nil {
		return b, errMalformed
	}
	app, err := strconv.ParseUint(field("appid"), 10, 32)
	b = body{
		app: uint32(app), event: field("event"), timestamp: field("timestamp"), nonce: field("nonce"), signature: field("signature"),
		user: field("user_id"), action: field("action"),
	}
	if err != nil || app == 0 || b.timestamp == "" || b.nonce == "" || b.signature == "" {
		return b, errMalformed
	}
	return b, nil
}

// fields returns what reads a field of the body by its name; empty for none.
func fields(text []byte) (func(name string) string, error) {
	text = bytes.TrimSpace(text)
	if bytes.HasPrefix(text, []byte("%7B")) || bytes.HasPrefix(text, []byte("%7b")) {
		decoded, err := url.QueryUnescape(string(text))
		if err != nil {
			return nil, err
		}
		text = []byte(decoded)
	}
	if !bytes.HasPrefix(text, []byte("{")) {
		form, err := url.ParseQuery(string(text))
		return form.Get, err
	}
	var object map[string]json.RawMessage
	if err := json.Unmarshal(text, &object); err != nil {
		return nil, err
	}
	return func(name string) string { return scalar(object[name]) }, nil
}

// scalar is a JSON text without its quotes, or a number as it stands; empty for
// anything else.
func scalar(raw json.RawMessage) string {
	var text string
	if json.Unmarshal(raw, &text) == nil {
		return text
	}
	var number json.Number
	if json.Unmarshal(raw, &number) == nil {
		return number.String()
	}
	return ""
}

// hint is what a callback of a login or logout says.
func (b *body) hint() (Hint, error) {
	if b.user == "" || len(b.user) > maxID || !utf8.ValidString(b.user) {
		return Hint{}, errMalformed
	}
	switch b.action {
	case "0":
		return Hint{App: b.app, User: b.user, Online: true}, nil
	case "1", "2":
		return Hint{App: b.app, User: b.user}, nil
	}
	return Hint{}, errMalformed
}

// fresh tells whether a callback was signed within tolerance of now.
func (b *body) fresh(now time.Time, tolerance time.Duration) (bool, error) {
	seconds, err := strconv.ParseInt(b.timestamp, 10, 64)
	if err != nil {
		return false, errMalformed
	}
	return now.Sub(time.Unix(seconds, 0)).Abs() <= tolerance, nil
}
