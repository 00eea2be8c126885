package follow

import "time"

// Every shortens what a follower does now and then.
func (f *Follower) Every(d time.Duration) { f.every = d }
