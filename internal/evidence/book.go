package evidence

import "sync"

// What a book keeps: answersKept for each watched user where that is less than
// mostBytes, and never less than leastBytes. So of a million users it knows about the
// newest answer.
const (
	answersKept = 32
	leastBytes  = 64 << 10
	mostBytes   = 8 << 20
)

// Book is the evidence of one app. Its methods may be called from any goroutine.
type Book struct {
	mu        sync.Mutex // guards all below
	limit     int        // in bytes, of requests
	bytes     int        // of requests
	requests  queue[entry]
	most      int // of dropped
	dropped   queue[dropped]
	incidents queue[Incident]
}

// NewBook returns an empty book.
func NewBook() *Book { return &Book{limit: leastBytes, most: leastDropped} }

// Watched says how many users are asked about, which bounds what is kept.
func (b *Book) Watched(users int) {
	requests := (users + 99) / 100
	limit := min(mostBytes, max(leastBytes, answersKept*(perUser*users+overhead*requests)))
	b.mu.Lock()
	defer b.mu.Unlock()
	b.limit, b.most = limit, min(mostDropped, max(leastDropped, users))
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

// trim drops what is oldest until the rest is small enough.
func (b *Book) trim() {
	for b.bytes > b.limit && b.requests.n > 1 {
		oldest := b.requests.drop()
		b.bytes -= oldest.size()
	}
	for b.dropped.n > b.most {
		b.dropped.drop()
	}
}

// Suppressed writes down a change of a user that will not be told.
func (b *Book) Suppressed(no uint32, s Suppressed) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.dropped.add(newDropped(no, s))
	b.trim()
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

// Incidents returns those that are kept, in the order in which they began.
func (b *Book) Incidents() []Incident {
	b.mu.Lock()
	defer b.mu.Unlock()
	all := make([]Incident, 0, b.incidents.n)
	for at := range b.incidents.n {
		all = append(all, *b.incidents.at(at))
	}
	return all
}

// TermOver forgets an incident that is under way: nobody decides about it any more.
func (b *Book) TermOver() {
	b.mu.Lock()
	defer b.mu.Unlock()
	var ended queue[Incident]
	for at := range b.incidents.n {
		if i := *b.incidents.at(at); !i.Ended.IsZero() {
			ended.add(i)
		}
	}
	b.incidents = ended
}
