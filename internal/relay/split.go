package relay

import (
	"errors"
	"fmt"
	"strings"

	"github.com/zim-presence/poller/presence"
)

// Split is where the ledger and what was told part.
type Split struct {
	// Why is what halts the telling, a [*ContradictionError] or a [*HoleError]; nil
	// where nothing does that could be mended here, and then the rest is zero.
	Why error
	// Fork is the newest event in which both agree: what the ledger has behind it
	// was never told.
	Fork int64
	// Imported is how many of the events found are behind the fork, Missing which
	// numbers behind it are nowhere.
	Imported int64
	Missing  []Span
	// Told is the end of the stream, with the newest event that was ever told.
	Told presence.Cursor
}

// Span is a run of event numbers, both ends included. Last 0: nobody knows how
// far it goes.
type Span struct{ First, Last int64 }

func (s Span) String() string {
	switch s.Last {
	case 0:
		return fmt.Sprintf("behind %d", s.First-1)
	case s.First:
		return fmt.Sprint(s.First)
	}
	return fmt.Sprintf("%d to %d", s.First, s.Last)
}

// GapError says that events were told which are nowhere any more.
type GapError struct {
	App     uint32
	Missing []Span
}

func (e *GapError) Error() string {
	shown := make([]string, 0, 6)
	for _, span := range e.Missing[:min(5, len(e.Missing))] {
		shown = append(shown, span.String())
	}
	if more := len(e.Missing) - len(shown); more > 0 {
		shown = append(shown, fmt.Sprintf("%d more runs", more))
	}
	return fmt.Sprintf("app %d: events %s were told, and are in neither the ledger nor the stream nor the bucket any more; "+
		"--accept-gap goes on without them: the bucket has each user's last event", e.App, strings.Join(shown, ", "))
}

// AheadError says that the bucket remembers events that the stream has lost.
type AheadError struct {
	App          uint32
	Bucket, Last int64
}

func (e *AheadError) Error() string {
	return fmt.Sprintf("the bucket remembers event %d, and the stream ends with event %d: its store was restored to an older state; "+
		"mend: nats kv del presence_%d, and run this again; the bucket is made anew from the stream", e.Bucket, e.Last, e.App)
}

// ErrMoved says that something was published while the survey went on.
var ErrMoved = errors.New("the stream has moved meanwhile: try again, and if it says so again find out who else publishes to it")
