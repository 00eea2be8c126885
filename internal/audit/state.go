package audit

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/RoaringBitmap/roaring/v2"
	"github.com/jackc/pgx/v5"

	"github.com/zim-presence/poller/presence"
)

// standing is a row of the state.
type standing struct {
	user, status, detail string
	no                   int64
	since                *time.Time
	lastSeq              int64
	watched, stale       bool
}

// readState holds the state against the fold of the ledger. It says how everybody
// stands now: where the range has an end it is not looked at.
func (it *inspection) readState(ctx context.Context) error {
	if it.Range.ends() {
		it.report.Users = len(it.book.users)
		return nil
	}
	rows, err := it.kept.tx.Query(ctx, `
		select user_no, user_id, status, detail, since, last_seq, watched, stale
		  from user_states
		 where app_id = $1`, int64(it.App))
	if err != nil {
		return err
	}
	numbers := roaring.New()
	var s standing
	_, err = pgx.ForEachRow(rows, []any{&s.no, &s.user, &s.status, &s.detail, &s.since, &s.lastSeq, &s.watched, &s.stale}, func() error {
		numbers.Add(uint32(s.no))
		if wrong := it.judge(&s); wrong != "" {
			it.report.add(State, s.user, "the state of %q %s", s.user, wrong)
		}
		return nil
	})
	if err != nil {
		return err
	}
	it.stateless(numbers)
	it.report.Users = len(it.book.users)
	if it.Live {
		return nil
	}
	return it.readWatchlist(ctx)
}

// judge says what is wrong with a row.
func (it *inspection) judge(s *standing) (wrong string) {
	l := it.book.users[s.user]
	if l == nil {
		l, wrong = it.beyond(s)
		it.book.users[s.user] = l
	} else {
		wrong = it.led(s, l)
	}
	l.held = true
	switch {
	case wrong != "":
	case s.no > it.kept.userNo:
		wrong = fmt.Sprintf("has the number %d, the highest that was given is %d", s.no, it.kept.userNo)
	case it.kept.gone.Contains(uint32(s.no)):
		wrong = fmt.Sprintf("has the number %d, which was a user's who was erased", s.no)
	case !s.watched && s.status != presence.Unknown.String():
		wrong = fmt.Sprintf("is %s, and the user does not count as watched", s.status)
	case s.stale && (s.status != presence.Unknown.String() || !s.watched || s.lastSeq == 0):
		wrong = fmt.Sprintf("is stale, and %s by event %d, watched: %v", s.status, s.lastSeq, s.watched)
	}
	return wrong
}

// led holds the state of a user against the newest event.
func (it *inspection) led(s *standing, l *link) string {
	switch {
	case s.no != int64(l.no):
		return fmt.Sprintf("has the number %d, the events %d", s.no, l.no)
	case s.lastSeq > l.seq && it.book.missing(s.lastSeq):
		return ""
	case s.status != l.to.String() || s.lastSeq != l.seq:
		return fmt.Sprintf("is %s by event %d, the events say %s by event %d", s.status, s.lastSeq, l.to, l.seq)
	case s.stale != l.stale:
		return fmt.Sprintf("is stale: %v; event %d says: %v", s.stale, l.seq, l.stale)
	case s.since == nil:
		return fmt.Sprintf("does not say since when it is so, event %d does", l.seq)
	case l.since != 0 && s.since.UnixMicro() != l.since && s.since.UnixMicro() != l.observed:
		return fmt.Sprintf("is since %s, the event that led to it was observed at %s",
			s.since.UTC().Format(time.RFC3339Nano), time.UnixMicro(l.since).UTC().Format(time.RFC3339Nano))
	}
	return ""
}

// beyond holds the state of a user without an event that was looked at against
// the snapshots, and returns what it says of the time before.
func (it *inspection) beyond(s *standing) (*link, string) {
	was, settled := it.kept.fold.of(uint32(s.no))
	l := &link{seq: s.lastSeq, told: s.lastSeq, no: uint32(s.no), to: was, beyond: true}
	switch {
	case settled && s.status != was.String():
		return l, fmt.Sprintf("is %s by event %d, snapshots and events say %s", s.status, s.lastSeq, was)
	case s.lastSeq >= it.book.first && !it.book.missing(s.lastSeq):
		return l, fmt.Sprintf("is by event %d, which is none of that user's", s.lastSeq)
	case s.lastSeq < it.book.first && s.lastSeq > 0 && it.book.first == 1:
		return l, fmt.Sprintf("is by event %d", s.lastSeq)
	case s.lastSeq == 0 && s.status != presence.Unknown.String():
		return l, fmt.Sprintf("is %s by no event", s.status)
	}
	if to, err := presence.ParseStatus(s.status); err == nil && !settled {
		l.to = to
	}
	return l, ""
}

// stateless finds who has events, or is known from snapshots, and has no state.
func (it *inspection) stateless(numbers *roaring.Bitmap) {
	f := it.kept.fold
	known := roaring.AndNot(f.settled(f.known), numbers)
	known.AndNot(it.kept.gone)
	for _, user := range slices.Sorted(maps.Keys(it.book.users)) {
		if l := it.book.users[user]; !l.held {
			it.report.add(State, user, "%q has events, the newest %d, and no state", user, l.seq)
			known.Remove(l.no)
		}
	}
	for all := known.Iterator(); all.HasNext(); {
		no := all.Next()
		it.report.add(State, strconv.FormatUint(uint64(no), 10), "user number %d is known from snapshots and has no state", no)
	}
}
