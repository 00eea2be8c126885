package audit

import (
	"hash/maphash"
	"strconv"

	"github.com/zim-presence/poller/presence"
)

// What a sum is where it is none.
const (
	noRow      = 0 // the ledger has no such row
	unreadable = 1 // it has one that is no event
	firstSum   = 2
)

// pageOf is how many events a page of the book holds.
const pageOf = 1 << 14

// page is a run of events.
type page struct {
	sums  [pageOf]uint64
	seen  [pageOf / 64]uint64 // in the stream
	blank [pageOf / 64]uint64 // erased: the sum is of the id alone
}

// book is the ledger, in short. It keeps pages only of what there is, so that a
// number that is far out costs nothing.
type book struct {
	seed        maphash.Seed
	pages       map[int64]*page
	first, last int64 // of the events that are looked at; last is what the app counts, or the newest row where that is more
	newest      int64 // row, first - 1 for none
	holes       presence.SeqSet
	users       map[string]*link
}

func newBook() *book {
	return &book{seed: maphash.MakeSeed(), pages: map[int64]*page{}, users: map[string]*link{}}
}

// at returns the page of an event and its place there; nil where there is none.
func (b *book) at(seq int64) (*page, int) { return b.pages[seq/pageOf], int(seq % pageOf) }

// put notes the sum of an event.
func (b *book) put(seq int64, sum uint64, erased bool) {
	p, i := b.at(seq)
	if p == nil {
		p = &page{}
		b.pages[seq/pageOf] = p
	}
	p.sums[i] = sum
	if erased {
		p.blank[i/64] |= 1 << (i % 64)
	}
}

// get returns the sum of an event, and whether it was erased.
func (b *book) get(seq int64) (sum uint64, erased bool) {
	p, i := b.at(seq)
	if p == nil || seq < 0 {
		return noRow, false
	}
	return p.sums[i], p.blank[i/64]&(1<<(i%64)) != 0
}

// see notes that the stream has an event that the ledger has, and tells whether
// it was seen before.
func (b *book) see(seq int64) (again bool) {
	p, i := b.at(seq)
	again = p.seen[i/64]&(1<<(i%64)) != 0
	p.seen[i/64] |= 1 << (i % 64)
	return again
}

// saw tells whether the stream has an event that the ledger has.
func (b *book) saw(seq int64) bool {
	p, i := b.at(seq)
	return p != nil && p.seen[i/64]&(1<<(i%64)) != 0
}

// unseen yields the events of the ledger from first to last that the stream does
// not have.
func (b *book) unseen(first, last int64, yield func(seq int64, erased bool)) {
	for seq := max(first, b.first); seq <= min(last, b.newest); seq++ {
		p, i := b.at(seq)
		if p == nil {
			seq += pageOf - 1 - int64(i)
			continue
		}
		if p.sums[i] != noRow && p.seen[i/64]&(1<<(i%64)) == 0 {
			yield(seq, p.blank[i/64]&(1<<(i%64)) != 0)
		}
	}
}

// missing tells whether an event should be in the ledger and is not, or cannot be
// read; that was told already, or is accepted.
func (b *book) missing(seq int64) bool {
	sum, _ := b.get(seq)
	return sum == unreadable || sum == noRow && b.holes.Contains(seq)
}

// sum is over all that is published of one event.
func (b *book) sum(subject, id, seq, contentType string, data []byte) uint64 {
	var h maphash.Hash
	h.SetSeed(b.seed)
	for _, part := range []string{subject, id, seq, contentType} {
		_, _ = h.WriteString(part) // never fails, by its contract
		_ = h.WriteByte(0)
	}
	_, _ = h.Write(data)
	return max(h.Sum64(), firstSum)
}

// sumID is what is known of an event that was erased.
func (b *book) sumID(id string) uint64 { return max(maphash.String(b.seed, id), firstSum) }

// sumEvent is the sum of an event as it has to be published.
func (b *book) sumEvent(e *presence.Event) (uint64, error) {
	data, err := e.Data()
	if err != nil {
		return unreadable, err
	}
	if e.Kind == presence.KindErased {
		return b.sumID(e.ID()), nil
	}
	return b.sum(e.Subject(), e.ID(), strconv.FormatInt(e.Seq, 10), presence.ContentType, data), nil
}
