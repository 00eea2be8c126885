package zimsim

import (
	"errors"
	"strings"
)

// Kind names what goes wrong.
type Kind string

// Kinds that strike before the request is judged. Of the first five at most one strikes a request; the other two come
// on top. Over HTTP/2 kill_keepalive ends the connection, with all its streams, at whatever the client sends next.
const (
	HTTPError     Kind = "http"
	Hang          Kind = "hang"
	CutHeaders    Kind = "cut_headers"
	HTML          Kind = "html"
	Code          Kind = "code"
	Slow          Kind = "slow"
	KillKeepAlive Kind = "kill_keepalive" // on Start's server only
)

// Kinds that spoil the data of an acceptable request. They add up; the last two end the connection or the text early.
const (
	SlowAnswer    Kind = "slow_answer"
	Partial       Kind = "partial"
	Invented      Kind = "invented"
	UnknownStatus Kind = "unknown_status"
	LowerCase     Kind = "lower_case"
	Empty         Kind = "empty" // in the form that is configured
	BothLists     Kind = "both_lists"
	Twice         Kind = "twice"
	Contradictory Kind = "contradictory"
	Lost          Kind = "lost"
	Gone          Kind = "gone"
	Truncated     Kind = "truncated"
	CutBody       Kind = "cut_body"
)

// KindText is a kind as it is described to people.
type KindText struct {
	Kind  Kind
	Takes string // the fields of a Fault that it has beside those that all have, by their names in JSON; may be empty
	Does  string
}

// Kinds are all that there are.
func Kinds() []KindText {
	return []KindText{
		{HTTPError, "status, retry_after", "an HTML page with this HTTP status (503), and Retry-After in seconds (none)"},
		{Hang, "", "no answer until the client gives up or the fault is taken away"},
		{CutHeaders, "", "the connection ends in the middle of the header"},
		{HTML, "", "an HTML page with HTTP status 200"},
		{Code, "code", "this ZIM code (1), and nothing about anybody"},
		{Slow, "delay", "waits, then looks at the users, then answers"},
		{KillKeepAlive, "", "answers; the next request on that connection is cut off unread"},
		{SlowAnswer, "delay", "looks at the users, then waits, then answers"},
		{Partial, "share", "leaves out this share of the users"},
		{Invented, "share", "adds users who were not asked for, this share of those who were"},
		{UnknownStatus, "share", "gives this share of the users a status word that does not exist"},
		{LowerCase, "", "writes every status word in lower case"},
		{Empty, "", "code 0, and both lists empty"},
		{BothLists, "share", "puts this share of the users into ErrorList, too"},
		{Twice, "share", "lists this share of the users twice, alike"},
		{Contradictory, "share", "lists this share of the users twice, once online and once offline"},
		{Lost, "share", "says of this share of the users that they are offline: the same ones each time"},
		{Gone, "share", "says of this share that they have logged out: the same ones each time"},
		{Truncated, "", "JSON that ends early, in a complete HTTP answer"},
		{CutBody, "", "the connection ends in the middle of the body"},
	}
}

// errNoKind is of a kind that does not exist.
func errNoKind() error {
	names := make([]string, 0, 20)
	for _, k := range Kinds() {
		names = append(names, string(k.Kind))
	}
	return errors.New("no such kind; kinds: " + strings.Join(names, ", "))
}

// takes is what the kind has beside what all have.
func (k Kind) takes() string {
	for _, text := range Kinds() {
		if text.Kind == k {
			return text.Takes
		}
	}
	return ""
}

// wire says whether the kind strikes before the request is judged.
func (k Kind) wire() bool {
	switch k {
	case HTTPError, Hang, CutHeaders, HTML, Code, Slow, KillKeepAlive:
		return true
	}
	return false
}

// data says whether the kind spoils the data of an acceptable request.
func (k Kind) data() bool {
	switch k {
	case SlowAnswer, Partial, Invented, UnknownStatus, LowerCase, Empty, BothLists, Twice, Contradictory, Lost, Gone, Truncated, CutBody:
		return true
	}
	return false
}

// fitting is the fault without what its kind does not take.
func (f Fault) fitting() Fault {
	takes := f.Kind.takes()
	if takes != "status, retry_after" {
		f.Status, f.RetryAfter = 0, 0
	}
	if takes != "code" {
		f.Code = 0
	}
	if takes != "delay" {
		f.Delay = 0
	}
	if takes != "share" {
		f.Share = 0
	}
	return f
}
