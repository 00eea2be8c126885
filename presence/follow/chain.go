package follow

import (
	"time"

	"github.com/zim-presence/poller/presence"
)

// chain is how far an app was followed, and judges what comes. It is pure.
type chain struct {
	seq  int64           // everything up to it is done
	log  string          // of that event, "" where it is not known
	logs map[string]bool // all that were seen
	// ahead holds users whose state was told behind seq, while the bucket was
	// filled anew, and by what event.
	ahead map[string]standpoint
	some  bool // only some users are read: prev_seq is the proof
}

// standpoint is the event that told a user's state.
type standpoint struct {
	seq int64
	at  time.Time // its ObservedAt
}

// covers tells whether an event of the same user is this one or an earlier one, also
// where the numbering began anew since.
func (s standpoint) covers(e *presence.Event) bool {
	return e.Seq <= s.seq && !e.ObservedAt.After(s.at)
}

// verdict is what an event is to a chain.
type verdict uint8

const (
	next   verdict = iota // follows, and is to be told
	within                // follows, and the state has told it
	known                 // was done before
	behind                // something is missing before it
	anew                  // is of a numbering that began anew
)

// judge says what an event is. What is missing is told with behind alone.
func (c *chain) judge(e *presence.Event) (verdict, presence.SeqRange) {
	switch {
	case e.Seq <= c.seq && c.logs[e.Log]:
		return known, presence.SeqRange{}
	case e.Seq <= c.seq:
		return anew, presence.SeqRange{}
	case c.some && e.PrevSeq > c.seq:
		return behind, presence.SeqRange{First: e.PrevSeq, Last: e.PrevSeq}
	case !c.some && e.Seq != c.seq+1:
		return behind, presence.SeqRange{First: c.seq + 1, Last: e.Seq - 1}
	case c.ahead[e.User.ID].covers(e):
		return within, presence.SeqRange{}
	}
	return next, presence.SeqRange{}
}

// agrees tells whether an event that is to be the last one done, or an earlier one,
// is of the numbering that was followed, as far as that is known.
func (c *chain) agrees(seq int64, log string) bool {
	if seq == c.seq && c.log != "" {
		return log == c.log
	}
	return seq == 0 || len(c.logs) == 0 || c.logs[log]
}

// done moves behind an event.
func (c *chain) done(e *presence.Event) {
	c.seq, c.log = e.Seq, e.Log
	c.saw(e.Log)
	if c.ahead[e.User.ID].seq <= e.Seq {
		delete(c.ahead, e.User.ID)
	}
}

func (c *chain) saw(log string) {
	if c.logs == nil {
		c.logs = map[string]bool{}
	}
	c.logs[log] = true
}
