package budget

import "time"

// calm is how long after a refusal the next one, at the whole limit, is taken
// for chance again: on their way requests may come closer together than they
// left. A server that takes less says so again within a second.
const calm = time.Minute

// How the working rate moves, as shares: what remains of it at a refusal, the
// share of the ceiling from which on it feels its way, and the steps of either
// kind.
const (
	remains      = 1. / 2
	feelsItsWay  = 0.9
	stepsToLimit = 20
	stepsOfDoubt = 30
)

// working is the rate at which slots are handed out, in slots a span: the limit
// while nobody complains, never less than one.
//
//	limit ─┐                                  ┌─ the ceiling did not hold:
//	       │                              ╭───╯  20 steps for the limit
//	ceiling┼ ─ ─ ─ ─ ─ ┐─ ─ ─ ─ ─ ─ ─ ─ ─ ╯
//	  0.9  ┼       ╭───┘        ╭─────────     30 steps for the last tenth
//	       │    ╭──╯│        ╭──╯
//	  0.5  └────╯   └────────╯
//
// It is additive increase, multiplicative decrease, as in TCP, with two changes.
// Halving and growing evenly swings between a half and the whole of what the
// server takes, and so uses three quarters of it. Therefore the rate at which
// the server refused is kept as a ceiling. Steps are a twentieth of the limit up
// to nine tenths of it, so that the way back takes seconds; and tiny from there,
// so that the next refusal is half a minute away. At a server that takes half of
// the limit such a round is some 35 s long: it loses one for the pause, four for
// the way back and 5 % between, and a request or two of 300 is refused. A
// twentieth is also why the first ceiling is found within a step: what overshoots
// by a tenth lands under what the server takes.
//
// One refusal at the whole limit after a calm minute costs no more than its
// pause: at the rate that was set and was good so far it is chance.
//
// A ceiling that was reached without a refusal does not hold any more; the steps
// are large again then.
type working struct {
	limit   float64
	rate    float64
	ceiling float64   // the rate that was refused last; 0 for none
	since   time.Time // when the rate took effect
	heard   time.Time // end of the pause of the last refusal
}

func newWorking(limit int) working { return working{limit: float64(limit), rate: float64(limit)} }

// refused halves the rate from until on, when the next request may be sent. The
// refusal of a request that was sent before the end of the last pause says
// nothing new.
func (w *working) refused(sent, until time.Time) {
	news := !sent.Before(w.heard)
	chance := w.rate >= w.limit && sent.Sub(w.heard) >= calm
	if news && !chance {
		w.ceiling = w.rate
		w.rate = max(1, w.rate*remains)
	}
	w.heard = later(w.heard, until)
	w.since = later(w.since, w.heard)
}

// accepted takes a step when the request was sent a span or more after the last
// change: what the server then saw was a whole span at this rate.
func (w *working) accepted(sent time.Time, span time.Duration) {
	if w.rate >= w.limit || sent.Before(w.since.Add(span)) {
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
