package zimsim

import (
	"slices"
	"sync"
)

// liveFault is a fault that is set.
type liveFault struct {
	Fault
	left    int           // strikes left; negative is no end
	cleared chan struct{} // closed when the fault is cleared: lets go of whoever hangs
}

// faults is the list of what may go wrong, in the order in which it was set.
type faults struct {
	mu   sync.Mutex
	list []*liveFault
}

// add checks all of them before it adds any.
func (fs *faults) add(some []Fault) error {
	var fresh []*liveFault
	for _, f := range some {
		f, err := f.withDefaults()
		if err != nil {
			return err
		}
		left := f.Count
		if left == 0 {
			left = -1
		}
		fresh = append(fresh, &liveFault{Fault: f, left: left, cleared: make(chan struct{})})
	}
	fs.mu.Lock()
	defer fs.mu.Unlock()
	fs.list = slices.DeleteFunc(fs.list, func(f *liveFault) bool { return f.left == 0 && f.Kind != Hang })
	fs.list = append(fs.list, fresh...)
	return nil
}

// clear takes away the faults that match and lets go of the requests that hang in them.
func (fs *faults) clear(match func(Fault) bool) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	fs.list = slices.DeleteFunc(fs.list, func(f *liveFault) bool {
		if !match(f.Fault) {
			return false
		}
		close(f.cleared)
		return true
	})
}

// set lists the faults that can still strike, with Count as what is left of it.
func (fs *faults) set() []Fault {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	list := []Fault{}
	for _, f := range fs.list {
		if f.left == 0 {
			continue
		}
		set := f.Fault
		set.Count = max(f.left, 0)
		list = append(list, set)
	}
	return list
}

// strike appends the faults of these kinds that strike a request of the app.
func (fs *faults) strike(dst []*liveFault, kinds func(Kind) bool, app uint32, d *dice) []*liveFault {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	answered := false
	for _, f := range fs.list {
		if f.left == 0 || f.App != 0 && f.App != app || !kinds(f.Kind) {
			continue
		}
		if answered && f.answers() || !d.chance(f.Probability) {
			continue
		}
		answered = answered || f.answers()
		if f.left > 0 {
			f.left--
		}
		dst = append(dst, f)
	}
	return dst
}

// answers says whether the fault takes the place of the answer, so that only one of its like can strike.
func (f *liveFault) answers() bool {
	switch f.Kind {
	case HTTPError, Hang, CutHeaders, HTML, Code, Truncated, CutBody:
		return true
	}
	return false
}
