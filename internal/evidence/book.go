package evidence

import "sync"

// What a book keeps: answersKept for each watched user where that is less than
// mostBytes, and never less than leastBytes.
const (
	answersKept = 32
	leastBytes  = 64 << 10
	mostBytes   = 8 << 20
)

// Book is the evidence of one app. Its methods may be called from any goroutine.
type Book struct {
	mu        sync.Mutex // guards all below
	limit     int        // in bytes
	bytes     int        // of requests
	requests  queue[entry]
	decisions queue[noted]
	incidents queue[Incident]
}

// NewBook returns an empty book.
func NewBook() *Book { return &Book{limit: leastBytes} }

// Watched says how many users are asked about, which bounds what is kept.
func (b *Book) Watched(users int) {
	requests := (users + 99) / 100
	limit := min(mostBytes, max(leastBytes, answersKept*(perUser*users+overhead*requests)))
	b.mu.Lock()
	defer b.mu.Unlock()
	b.limit = limit
	b.trim()
}

// Attempted writes down a request.
func (b *Book) Attempted(r Request) {
	e := newEntry(r)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.bytes += e.size()
	b.requests.add(e)
	b.trim()
}

// trim drops the oldest requests until the rest is small enough.
func (b *Book) trim() {
	for b.bytes > b.limit && b.requests.n > 1 {
		oldest := b.requests.drop()
		b.bytes -= oldest.size()
	}
}

// Decided writes down a decision about a user.
func (b *Book) Decided(no uint32, d Decision) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.decisions.n == mostDecisions {
		b.decisions.drop()
	}
	b.decisions.add(noted{d, no})
}

// Incident writes down an incident, in the place of the one that began at the same
// time, if there is one.
func (b *Book) Incident(i Incident) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for at := range b.incidents.n {
		if known := b.incidents.at(at); known.Began.Equal(i.Began) {
			*known = i
			return
		}
	}
	if b.incidents.n == mostIncidents {
		b.incidents.drop()
	}
	b.incidents.add(i)
}
