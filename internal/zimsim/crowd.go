package zimsim

import "sync"

// crowd counts who is inside, so that closing can wait until nobody is. Unlike a WaitGroup it allows a late comer
// while somebody waits.
type crowd struct {
	mu    sync.Mutex
	n     int
	empty *sync.Cond
}

func newCrowd() *crowd {
	c := &crowd{}
	c.empty = sync.NewCond(&c.mu)
	return c
}

func (c *crowd) join() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.n++
}

func (c *crowd) leave() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.n--; c.n == 0 {
		c.empty.Broadcast()
	}
}

func (c *crowd) wait() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.n > 0 {
		c.empty.Wait()
	}
}
