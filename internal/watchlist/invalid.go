package watchlist

import (
	"strconv"
	"strings"

	"github.com/zim-presence/poller/presence"
)

// Invalid is an id that ZIM cannot be asked about.
type Invalid struct {
	Line   int    `json:"line,omitempty"` // of the file, from 1; 0 when the id is from the table
	ID     string `json:"id"`             // quoted in the way of Go, cut off after 100 bytes
	Reason string `json:"reason"`         // such as: illegal character '/' at byte 3
}

// NewInvalid describes an id by the error of presence.CheckUserID.
func NewInvalid(id string, err error) Invalid {
	return Invalid{ID: quote(id), Reason: reason(err)}
}

const (
	mostExamples  = 20
	mostQuotedLen = 100
)

// faults counts invalid ids and keeps the first.
type faults struct {
	count    int
	examples []Invalid
}

func (f *faults) add(line int, id string, err error) {
	f.count++
	if len(f.examples) < mostExamples {
		bad := NewInvalid(id, err)
		bad.Line = line
		f.examples = append(f.examples, bad)
	}
}

func quote(id string) string {
	if len(id) <= mostQuotedLen {
		return strconv.Quote(id)
	}
	return strconv.Quote(id[:mostQuotedLen]) + "…"
}

func reason(err error) string {
	return strings.TrimPrefix(err.Error(), presence.ErrUserID.Error()+": ")
}
