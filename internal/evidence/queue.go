package evidence

// queue is a ring that grows as it needs, and gives the memory back when it has
// become much too large. Its zero value is empty.
type queue[T any] struct {
	ring  []T
	first int // place of the oldest
	n     int
}

const smallest = 16

// at returns the place of the ith, the oldest being 0.
func (q *queue[T]) at(i int) *T { return &q.ring[(q.first+i)%len(q.ring)] }

func (q *queue[T]) add(v T) {
	if q.n == len(q.ring) {
		q.resize(max(smallest, 2*q.n))
	}
	q.n++
	*q.at(q.n - 1) = v
}

// drop takes out the oldest.
func (q *queue[T]) drop() T {
	var none T
	v := *q.at(0)
	*q.at(0) = none
	q.first, q.n = (q.first+1)%len(q.ring), q.n-1
	if len(q.ring) > smallest && q.n < len(q.ring)/4 {
		q.resize(len(q.ring) / 2)
	}
	return v
}

func (q *queue[T]) resize(size int) {
	ring := make([]T, size)
	for i := range q.n {
		ring[i] = *q.at(i)
	}
	q.ring, q.first = ring, 0
}
