package diff

import (
	"fmt"

	"github.com/RoaringBitmap/roaring/v2"

	"github.com/zim-presence/poller/presence"
)

// Bitmaps returns the sets of user numbers of everybody online and of everybody
// whose status is known, in Roaring's portable format.
func (m *Memory) Bitmaps() (online, known []byte, err error) {
	onlines, knowns := roaring.New(), roaring.New()
	for r := range m.records() {
		if r.status == presence.Unknown {
			continue
		}
		knowns.Add(r.no)
		if r.status == presence.Online {
			onlines.Add(r.no)
		}
	}
	if online, err = portable(onlines); err != nil {
		return nil, nil, fmt.Errorf("bitmap of users online: %w", err)
	}
	if known, err = portable(knowns); err != nil {
		return nil, nil, fmt.Errorf("bitmap of users known: %w", err)
	}
	return online, known, nil
}

func portable(b *roaring.Bitmap) ([]byte, error) {
	b.RunOptimize()
	return b.ToBytes()
}
