package budget

import "time"

// How the working rate moves, as shares: what remains of it at a refusal, where
// it has been good and where it has not; the share of the ceiling from which on
// it feels its way; and the steps of either kind.
const (
	remains      = 1. / 2
	stepBack     = 0.95
	feelsItsWay  = 0.9
	stepsToLimit = 20
	stepsOfDoubt = 30
)

// working is the rate at which slots are handed out, in slots a span: the limit
// while nobody complains, never less than one.
//
//	limit ┐
//	      │                                      ╭─ no refusal: 20 steps for the limit
//	      │                     refused    ╭─────╯
//	      │     refused    ╭────┐     ╭────╯
//	 0.9  │        ┐  ╭────╯    └─────╯     30 steps for the last tenth
//	      │    ╭───┘──╯
//	      └────╯
//	   refused at once: a half
//
// It is additive increase, multiplicative decrease, as in TCP, with three changes,
// since halving and growing evenly swings between a half and the whole of what
// the server takes, and so uses three quarters of it.
//
// Halved is only a rate that was not good for a whole span since the last
// refusal: that is how a server answers that takes much less. Where a whole span
// was accepted the rate is about right. The server takes a little less, or two
// requests came closer together on their way than they left, or another program
// asked in between; then a twentieth comes off what was good.
//
// The rate that was refused is kept as a ceiling. Steps are a twentieth of the
// limit up to nine tenths of it, so that the way back takes seconds, and tiny
// from there, so that the next refusal is a quarter of a minute away. At a server
// that takes half of the limit, such a round loses a second for the pause and
// some 4 % between, and a request or two in 170 is refused.
//
// A ceiling that was reached without a refusal does not hold any more; the steps
// are large again then.
type working struct {
	limit   float64
	rate    float64
	good    float64   // the newest rate accepted for a span since the last refusal; 0 for none
	ceiling float64   // the rate that was refused last; 0 for none
	since   time.Time // when the rate took effect
	heard   time.Time // end of the pause of the last refusal
}

func newWorking(limit int) working { return working{limit: float64(limit), rate: float64(limit)} }

// setLimit sets another limit at now. The rate goes with it where nobody has
// complained, and else only where it would be over it.
func (w *working) setLimit(limit int, now time.Time) {
	before := w.limit
	w.limit = float64(limit)
	if w.rate >= before {
		w.rate = w.limit
	}
	w.rate, w.since = min(w.rate, w.limit), later(w.since, now)
}

// refused lowers the rate from until on, when the next request may be sent. The
// refusal of a request that was sent before the end of the last pause says
// nothing new.
func (w *working) refused(sent, until time.Time) {
	if !sent.Before(w.heard) {
		w.ceiling = w.rate
		if w.good > 0 {
			w.rate = min(w.rate, w.good) * stepBack
		} else {
			w.rate *= remains
		}
		w.rate, w.good = max(1, w.rate), 0
	}
	w.heard = later(w.heard, until)
	w.since = later(w.since, w.heard)
}

// accepted takes a step when the request was sent a span or more after the last
// change: what the server then saw was a whole span at this rate.
func (w *working) accepted(sent time.Time, span time.Duration) {
	if sent.Before(w.since.Add(span)) {
		return
	}
	w.good = w.rate
	if w.rate >= w.limit {
		return
	}
	step, most := w.limit/stepsToLimit, w.limit
	switch {
	case w.ceiling == 0:
	case w.rate >= w.ceiling:
		w.ceiling = 0
	case w.rate >= w.ceiling*feelsItsWay:
		step, most = w.ceiling*(1-feelsItsWay)/stepsOfDoubt, w.ceiling
	default:
		most = w.ceiling * feelsItsWay
	}
	w.rate, w.since = min(w.rate+step, most, w.limit), time.Now()
}

// gap returns the even gap between two slots.
func (w *working) gap(span time.Duration) time.Duration {
	return time.Duration(float64(span) / w.rate)
}

// whole returns how many slots go together into a part of the span that is as
// long as so many gaps.
func (w *working) whole() int { return int(w.rate) }
