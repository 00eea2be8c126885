package poll

import "time"

// Due returns when the next sweep is due, or was for the one that runs; zero before
// the first. It may be called from any goroutine.
func (r *Recorder) Due() time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.due
}
