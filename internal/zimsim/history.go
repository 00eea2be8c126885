package zimsim

import (
	"slices"
	"time"
)

// Change is one visible change: from At on, and not before, the gateway's answers say To instead of From.
type Change struct {
	Seq    uint64    `json:"seq"` // from 1, without gaps within one app
	User   string    `json:"user"`
	At     time.Time `json:"at"` // server clock without its skew, UTC
	From   State     `json:"from"`
	To     State     `json:"to"`
	Detail string    `json:"detail"` // of To: timeout, no_session or empty
}

// defaultHistory is how many changes are kept when the configuration does not say.
const defaultHistory = 1_000_000

// history is the ground truth: the visible changes in order. Guarded by its population's lock.
type history struct {
	limit int // changes kept; 0 keeps none
	seq   uint64
	kept  []Change // the last of them, ending with number seq
}

// newHistory reads a limit as configured: 0 is the default, a negative one keeps nothing.
func newHistory(limit int) history {
	switch {
	case limit == 0:
		return history{limit: defaultHistory}
	case limit < 0:
		return history{}
	}
	return history{limit: limit}
}

func (h *history) add(user string, at time.Time, from, to State) {
	h.seq++
	if h.limit == 0 {
		return
	}
	if len(h.kept) >= h.limit+h.limit/2+1 {
		h.kept = append(h.kept[:0], h.kept[len(h.kept)-h.limit+1:]...)
	}
	h.kept = append(h.kept, Change{Seq: h.seq, User: user, At: at, From: from, To: to, Detail: to.Detail()})
}

// since copies the changes numbered above seq, as far as they are kept.
func (h *history) since(seq uint64) []Change {
	if seq >= h.seq {
		return nil
	}
	skip := max(seq, h.dropped()) - h.dropped()
	return slices.Clone(h.last()[skip:])
}

// last is the newest changes, at most limit of them.
func (h *history) last() []Change {
	if len(h.kept) > h.limit {
		return h.kept[len(h.kept)-h.limit:]
	}
	return h.kept
}

// dropped is how many changes happened that are no longer kept.
func (h *history) dropped() uint64 { return h.seq - uint64(len(h.last())) }
