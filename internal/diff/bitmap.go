package diff

import (
	"fmt"

	"github.com/RoaringBitmap/roaring/v2"

	"github.com/zim-presence/poller/presence"
)

// Bitmaps returns the sets of user numbers of everybody online and of everybody
// whose status is known, in Roaring's portable format.
func (m *Memory) Bitmaps() (online, known []byte, err error) {
	var onlines, knowns numbers
	for r := range m.records() {
		if r.status == presence.Unknown {
			continue
		}
		knowns.add(r.no)
		if r.status == presence.Online {
			onlines.add(r.no)
		}
	}
	if online, err = onlines.portable(); err != nil {
		return nil, nil, fmt.Errorf("bitmap of users online: %w", err)
	}
	if known, err = knowns.portable(); err != nil {
		return nil, nil, fmt.Errorf("bitmap of users known: %w", err)
	}
	return online, known, nil
}

// numbers is a set that takes its members in any order, a bit each, of which
// Roaring makes a bitmap in a tenth of the time that members out of order take it.
// It is as long as the highest number: they are given without gaps.
type numbers []uint64

func (n *numbers) add(no uint32) {
	word := int(no / 64)
	if word >= len(*n) {
		*n = append(*n, make([]uint64, word+1-len(*n))...)
	}
	(*n)[word] |= 1 << (no % 64)
}

func (n numbers) portable() ([]byte, error) {
	b := roaring.FromDense(n, false)
	b.RunOptimize()
	return b.ToBytes()
}
