package plan

import (
	"math"
	"time"
)

// settle is how often the requests that ask again are reckoned anew: they make a
// sweep longer, and a longer sweep sees more changes.
const settle = 40

// Reckon reckons.
func Reckon(w Want) Plan {
	p, due := Plan{Batch: w.batch()}, newDues(w.Gaps)
	p.Requests = (w.Users + p.Batch - 1) / p.Batch
	var wait time.Duration
	again, inside := 0.0, 0.0 // requests that ask again in a sweep's time, and the share of them in a sweep
	for range settle {
		asked := float64(p.Requests) + again*inside
		p.Sweep = w.asking(asked)
		p.Between, wait = due.starts(w.cycle(asked)).between()
		p.Fits = w.cycle(asked) <= due.least
		p.BackToBack = w.cycle(asked) > due.gaps.worst
		more, share := w.again(p), w.inside(p)
		if math.Abs(more-again) <= 0.001*more && math.Abs(share-inside) <= 0.001 {
			break
		}
		again, inside = (again+more)/2, (inside+share)/2 // by halves, or it may swing
	}
	// How many ask again varies as what is rare does: by the root. Three times that is
	// hardly ever passed.
	most := float64(p.Requests) + inside*(again+3*math.Sqrt(again))
	p.Between.Worst = max(p.Between.Worst, due.starts(w.cycle(most)).worst)
	// The server looks half a request after it was asked, about; at worst it looked
	// right before the change, and the next look is told at the end of its request.
	p.Seen = Span{Mean: wait + w.Latency/2, Worst: p.Between.Worst + w.Latency}
	p.Offline, p.Online = w.told(p, w.HoldOffline), w.told(p, w.HoldOnline)
	slots := p.Between.Mean.Seconds() / w.slot().Seconds()
	p.Budget = min(1, (float64(p.Requests)+again)/slots)
	p.Hold = Cost{PerSweep: again, PerHour: again * 3600 / p.Between.Mean.Seconds(), Budget: min(1, again/slots)}
	return p
}

// again is how many requests of a sweep's time ask again. Changes to both sides become
// due together only where they are held equally long.
func (w Want) again(p Plan) float64 {
	changes := min(float64(w.Users), w.ChangesPerHour/3600*p.Between.Mean.Seconds())
	switch {
	case changes <= 0 || w.HoldOffline == 0 && w.HoldOnline == 0:
		return 0
	case w.HoldOffline == 0 || w.HoldOnline == 0:
		return w.calls(p, changes/2)
	case w.HoldOffline == w.HoldOnline:
		return w.calls(p, changes)
	}
	return 2 * w.calls(p, changes/2)
}

// calls is how many requests ask again about so many changes, which are seen in the
// course of a sweep and become due in the same course. What one answer shows is due
// together. Who is due waits for others to come, and a call takes them all: so it is
// one call for each time that somebody is due and nobody waits yet. No call begins
// before the one before has ended, and none is about more than atOnce. One that
// is about more than fit into a request takes several.
func (w Want) calls(p Plan, changes float64) float64 {
	answers := float64(p.Requests)
	some := 1 - math.Exp(-changes/answers) // the chance that an answer shows a change
	turn := gather.Seconds() * answers / max(p.Sweep, gather).Seconds()
	calls := min(answers*some, (answers+turn)*some/(1+turn*some))
	calls = min(calls, 1+p.Sweep.Seconds()/max(gather, w.queue(p)+w.Latency).Seconds())
	calls = max(calls, changes/atOnce)
	if each := changes / calls; each > float64(p.Batch) {
		return calls * (1 + each/float64(p.Batch))
	}
	return calls
}

// inside is the share of those requests that is sent while a sweep is under way: as
// much as the sweep, put off by the hold, overlaps with itself and with the next.
func (w Want) inside(p Plan) float64 {
	hold := max(w.HoldOffline, w.HoldOnline)
	if least := min(w.HoldOffline, w.HoldOnline); least > 0 {
		hold = least
	}
	cycle, sweep := p.Between.Mean.Seconds(), p.Sweep.Seconds()
	if hold == 0 || sweep == 0 {
		return 0
	}
	off := math.Mod((hold + gather).Seconds(), cycle)
	return min(1, (max(0, sweep-off)+max(0, off+sweep-cycle))/sweep)
}

// queue is what a request that asks again waits for its slot: while a sweep is under
// way for those of its requests that wait already, and for its own. A part of the first
// slot has passed, but nobody knows which: it comes at the pace of the answers, too.
func (w Want) queue(p Plan) time.Duration {
	busy := min(1, p.Sweep.Seconds()/p.Between.Mean.Seconds())
	return seconds(busy * (lead + 1) * w.slot().Seconds())
}

// call is the longest that one call takes which asks again: the requests of the
// sweep that wait already, its own slot, and its latency.
func (w Want) call() time.Duration { return (lead+1)*w.slot() + w.Latency }

// told is from a change to its event, where it is held. It is seen as it would be,
// and its time begins; then others are waited for, and a request asks again. At worst
// another call is under way first.
func (w Want) told(p Plan, hold time.Duration) Span {
	if hold == 0 {
		return p.Seen
	}
	return Span{
		Mean:  p.Seen.Mean + hold + gather + w.queue(p) + w.Latency,
		Worst: p.Seen.Worst + hold + max(gather, w.call()) + w.call(),
	}
}
