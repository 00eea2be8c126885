package poll

import "time"

// Users are counted every so often beside and between sweeps, and for this part of
// the time at the most.
const (
	countEvery = 10 * time.Second
	countShare = 100
)

// count counts everybody, now or as soon as it takes no more than its part of the
// time.
func (r *Recorder) count() {
	if r.Census == nil {
		return
	}
	now := r.now()
	if now.Before(r.countRests) {
		r.countAt = r.countRests
		return
	}
	began := time.Now()
	c := r.Memory.Census(now)
	r.Census(c)
	rest := countShare * time.Since(began)
	r.countRests, r.countAt = now.Add(rest), now.Add(max(countEvery, rest))
}
