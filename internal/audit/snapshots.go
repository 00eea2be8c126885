package audit

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/RoaringBitmap/roaring/v2"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/zim-presence/poller/presence"
)

// snapshot is a row without what is large in it.
type snapshot struct {
	sweep, seq        int64
	started, finished time.Time
	watched, seen     int64
	missed, told      int64
}

// sweepCount counts the events of the newest sweep.
type sweepCount struct {
	sweep, events int64
	stale         int64 // of events: who was seen early in a long sweep may be stale at its end
	whole         bool  // no event of it is missing
	cut           bool  // those just before are missing
}

// count takes an event's sweep, and tells that an event of a later one came before.
func (c *sweepCount) count(sweep int64) (late bool) {
	if sweep < c.sweep {
		return true
	}
	if sweep > c.sweep {
		c.sweep, c.events, c.stale, c.whole = sweep, 0, 0, !c.cut
	}
	c.cut = false
	c.events++
	return false
}

// miss notes that events are missing.
func (c *sweepCount) miss() { c.whole, c.cut = false, true }

// readSnapshots reads what is small of the snapshots that the range may need, in
// the order of their sweeps, and holds it against the one before.
func (it *inspection) readSnapshots(ctx context.Context) error {
	k := &it.kept
	rows, err := k.tx.Query(ctx, `
		select sweep, seq, started, finished, watched, seen, missed_count, transitions
		  from snapshots
		 where app_id = $1 and seq <= $2
		 order by sweep`, int64(it.App), k.end)
	if err != nil {
		return err
	}
	var before snapshot
	var s snapshot
	_, err = pgx.ForEachRow(rows, []any{&s.sweep, &s.seq, &s.started, &s.finished, &s.watched, &s.seen, &s.missed, &s.told}, func() error {
		if !it.Range.begins() || s.seq >= it.book.first-1 {
			it.report.Snapshots++
			if odd := odd(&s, &before); odd != "" {
				it.report.add(Snapshot, strconv.FormatInt(s.sweep, 10), "the snapshot of sweep %d %s", s.sweep, odd)
				if s.seq < before.seq { // it stands at no place
					return nil
				}
			}
		}
		k.snapshots = append(k.snapshots, s)
		before = s
		return nil
	})
	return err
}

// odd says what is wrong with a snapshot in itself and behind the one before.
func odd(s, before *snapshot) string {
	switch {
	case s.seq < before.seq:
		return fmt.Sprintf("stands at event %d, the one before, of sweep %d, at event %d", s.seq, before.sweep, before.seq)
	case s.finished.Before(s.started):
		return fmt.Sprintf("was finished at %s, before it was started", s.finished.Format(time.RFC3339Nano))
	case s.seen+s.missed != s.watched:
		return fmt.Sprintf("says that %d were seen and %d missed of %d", s.seen, s.missed, s.watched)
	}
	return ""
}

// start finds from where to fold: the newest snapshot at or before the range from
// which on all events are there, or the beginning of everything.
func (it *inspection) start(ctx context.Context) error {
	k, b := &it.kept, it.book
	k.fold = newFold(b.first == 1)
	if b.first == 1 {
		return nil
	}
	k.sweep.miss()
	from := -1
	for i := range k.snapshots {
		if s := &k.snapshots[i]; s.seq < b.first && s.seq >= k.pruned {
			from = i
		}
	}
	if from < 0 {
		for k.next < len(k.snapshots) && k.snapshots[k.next].seq < b.first-1 {
			k.next++ // of the time before, or behind a hole
		}
		return nil
	}
	online, known, _, err := it.bitmaps(ctx, &k.snapshots[from])
	if err != nil {
		return err
	}
	b.first, k.next = k.snapshots[from].seq+1, from
	if online != nil {
		k.fold.learn(online, known)
	}
	k.sweep = sweepCount{sweep: k.snapshots[from].sweep}
	return nil
}

// toSnapshots looks at the snapshots that stand before an event. One that stands
// within a hole says nothing of where that ends.
func (it *inspection) toSnapshots(ctx context.Context, seq int64) error {
	k := &it.kept
	for ; k.next < len(k.snapshots) && k.snapshots[k.next].seq < seq; k.next++ {
		s := &k.snapshots[k.next]
		if it.book.holes.Contains(s.seq) && it.book.holes.Contains(s.seq+1) {
			continue
		}
		if s.seq > it.book.newest && !it.book.holes.Contains(s.seq) {
			it.report.add(Snapshot, strconv.FormatInt(s.sweep, 10), "the snapshot of sweep %d stands at event %d, the ledger ends with event %d",
				s.sweep, s.seq, it.book.newest)
			continue
		}
		online, known, missed, err := it.bitmaps(ctx, s)
		if err != nil {
			return err
		}
		wrong := "has a bitmap that cannot be read"
		if online != nil {
			wrong = firstOf(counts(s, online, known, missed, k.sweep.staleIn(s)), k.sweep.judge(s), it.compare(online, known))
		}
		if wrong != "" {
			it.report.add(Snapshot, strconv.FormatInt(s.sweep, 10), "the snapshot of sweep %d %s", s.sweep, wrong)
		}
	}
	return nil
}

func firstOf(texts ...string) string {
	for _, text := range texts {
		if text != "" {
			return text
		}
	}
	return ""
}

// judge holds how many events a snapshot says that its sweep has against those
// that were counted.
func (c *sweepCount) judge(s *snapshot) string {
	n, whole := c.events, c.whole
	switch {
	case c.sweep > s.sweep:
		return fmt.Sprintf("stands at event %d, behind an event of sweep %d", s.seq, c.sweep)
	case c.sweep < s.sweep:
		n, whole = 0, !c.cut
	}
	if whole && n != s.told {
		return fmt.Sprintf("says that the sweep brought %d events, and it brought %d", s.told, n)
	}
	return ""
}

// staleIn is how many were told as stale in the sweep of a snapshot, which is the
// newest or a later one: at the most, where not all events of it are there.
func (c *sweepCount) staleIn(s *snapshot) int64 {
	switch {
	case c.sweep == s.sweep && c.whole:
		return c.stale
	case c.sweep < s.sweep && !c.cut:
		return 0
	}
	return s.told
}

// counts holds a snapshot's numbers against its sets. Of those who were seen as
// many as are stale may not be known.
func counts(s *snapshot, online, known, missed *roaring.Bitmap, stale int64) string {
	answered := int64(roaring.AndNot(known, missed).GetCardinality())
	switch {
	case online.AndCardinality(known) != online.GetCardinality():
		return "has users who are online and not known"
	case missed.GetCardinality() != uint64(s.missed):
		return fmt.Sprintf("names %d users who were missed, and counts %d", missed.GetCardinality(), s.missed)
	case answered > s.seen || answered+stale < s.seen:
		return fmt.Sprintf("knows %d users who were not missed, and counts %d who were seen", answered, s.seen)
	}
	return ""
}

// compare holds a snapshot's sets against the fold. Where the events go on
// differing from the snapshots in the same users, the snapshots are believed, so
// that it is told once.
func (it *inspection) compare(online, known *roaring.Bitmap) (differ string) {
	f := it.kept.fold
	wrong := roaring.Or(roaring.Xor(f.online, online), roaring.Xor(f.known, known))
	wrong.AndNot(it.kept.gone)
	wrong = f.settled(wrong)
	fresh := roaring.AndNot(wrong, f.differed)
	if again := roaring.AndNot(wrong, fresh); !again.IsEmpty() {
		f.correct(again, online, known)
		wrong = fresh
	}
	f.differed = wrong
	if !fresh.IsEmpty() {
		no := fresh.Minimum()
		was, _ := f.of(no)
		differ = fmt.Sprintf("says that user number %d is %s; the events say %s", no, statusIn(no, online, known), was)
		if more := fresh.GetCardinality() - 1; more > 0 {
			differ += fmt.Sprintf(", and differs in %d users more", more)
		}
	}
	f.learn(online, known)
	return differ
}

func statusIn(no uint32, online, known *roaring.Bitmap) presence.Status {
	switch {
	case online.Contains(no):
		return presence.Online
	case known.Contains(no):
		return presence.Offline
	}
	return presence.Unknown
}

// bitmaps reads the sets of a snapshot: nil where one is damaged.
func (it *inspection) bitmaps(ctx context.Context, s *snapshot) (online, known, missed *roaring.Bitmap, err error) {
	var a, b []byte
	var runs pgtype.Multirange[pgtype.Range[pgtype.Int4]]
	err = it.kept.tx.QueryRow(ctx, `select online, known, missed from snapshots where app_id = $1 and sweep = $2`, int64(it.App), s.sweep).Scan(&a, &b, &runs)
	if err != nil {
		return nil, nil, nil, err
	}
	online, known, missed = roaring.New(), roaring.New(), roaring.New()
	if !readSet(online, a) || !readSet(known, b) {
		return nil, nil, nil, nil
	}
	for _, run := range runs {
		missed.AddRange(uint64(run.Lower.Int32), uint64(run.Upper.Int32))
	}
	return online, known, missed, nil
}

// readSet reads a bitmap and tells whether it is one; no bytes are an empty one.
func readSet(set *roaring.Bitmap, data []byte) bool {
	return len(data) == 0 || set.UnmarshalBinary(data) == nil && set.Validate() == nil
}
