package main

// wish is what one goroutine asks of another. It stands until the other has
// heard it, or it is taken back; saying it twice is saying it once.
type wish chan struct{}

func newWish() wish { return make(wish, 1) }

func (w wish) say() {
	select {
	case w <- struct{}{}:
	default:
	}
}

func (w wish) takeBack() {
	select {
	case <-w:
	default:
	}
}
