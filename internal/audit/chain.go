package audit

import (
	"fmt"
	"time"

	"github.com/zim-presence/poller/presence"
)

// link is the newest event of a user: what the next one has to follow.
type link struct {
	seq      int64
	told     int64 // the newest that the stream had when it was noted, 0 for none
	since    int64 // microseconds: when the event was observed that brought the status; 0 where nobody knows
	observed int64 // microseconds: when the newest was
	no       uint32
	to       presence.Status
	stale    bool // the newest event says that there has been no answer for too long
	held     bool // a state was found
	beyond   bool // the event lies before those that are looked at: the state says so
}

// follow adds an event to its user's chain. broken says how it does not follow
// the one before: "" where it does.
func (it *inspection) follow(e *presence.Event) (broken string) {
	last, known := it.book.users[e.User.ID]
	if !known {
		last = &link{no: e.User.No}
		it.book.users[e.User.ID] = last
		broken = it.begins(e)
	} else {
		broken = it.continues(e, last)
	}
	if broken == "" {
		broken = absurd(e)
	}
	switch {
	case known && retold(e, last.to): // the status is as old as it was
	case e.Kind == presence.KindBaseline && it.open(e, known):
		last.since = 0
	default:
		last.since = e.ObservedAt.UnixMicro()
	}
	last.seq, last.to, last.observed, last.stale = e.Seq, e.To, e.ObservedAt.UnixMicro(), e.Kind == presence.KindStale
	if e.Seq <= it.noted {
		last.told = e.Seq
	}
	return broken
}

// begins judges the first event of a user that is looked at: what was before is
// known from a snapshot, or not at all.
func (it *inspection) begins(e *presence.Event) string {
	if !it.kept.fold.numbers.CheckedAdd(e.User.No) {
		return fmt.Sprintf("event %d of %q has the number %d, which is another user's", e.Seq, e.User.ID, e.User.No)
	}
	was, settled := it.kept.fold.of(e.User.No)
	switch {
	case e.PrevSeq >= it.book.first && !it.book.missing(e.PrevSeq):
		return fmt.Sprintf("event %d of %q names event %d as the one before, which is none of that user's", e.Seq, e.User.ID, e.PrevSeq)
	case e.PrevSeq >= it.book.first:
		return ""
	case e.PrevSeq == 0 && e.From != presence.Unknown:
		return fmt.Sprintf("event %d of %q goes on from %s, and names no event before", e.Seq, e.User.ID, e.From)
	case settled && e.From != was && !(retold(e, was) && e.PrevSeq != 0):
		return fmt.Sprintf("event %d of %q: from %s, but the snapshot before says %s", e.Seq, e.User.ID, e.From, was)
	}
	return ""
}

// continues judges an event behind another one of the user. One that names a
// missing event may have followed it.
func (it *inspection) continues(e *presence.Event, last *link) string {
	switch {
	case e.User.No != last.no:
		return fmt.Sprintf("event %d of %q has the number %d, and event %d of that user %d", e.Seq, e.User.ID, e.User.No, last.seq, last.no)
	case e.PrevSeq > last.seq && it.book.missing(e.PrevSeq):
		return ""
	case e.PrevSeq != last.seq || e.From != last.to && !retold(e, last.to):
		return fmt.Sprintf("event %d of %q: from %s behind event %d, but event %d led to %s",
			e.Seq, e.User.ID, e.From, e.PrevSeq, last.seq, last.to)
	case e.Kind == presence.KindRemoved && e.From == presence.Unknown && !last.stale:
		return fmt.Sprintf("event %d of %q: removed, but event %d says that nothing was known", e.Seq, e.User.ID, last.seq)
	case e.ObservedAt.UnixMicro() < last.observed:
		return fmt.Sprintf("event %d of %q: observed at %s, and event %d at %s", e.Seq, e.User.ID, e.ObservedAt.Format(time.RFC3339Nano),
			last.seq, time.UnixMicro(last.observed).UTC().Format(time.RFC3339Nano))
	}
	return ""
}

// open tells whether it is not known what was before an event, though something
// was: then a baseline may tell it once more.
func (it *inspection) open(e *presence.Event, known bool) bool {
	was, settled := it.kept.fold.of(e.User.No)
	return it.book.missing(e.PrevSeq) || !known && e.PrevSeq > 0 && !(settled && was == presence.Unknown)
}

// retold tells whether an event tells a status once more, for readers who have
// lost it: a baseline of who is known.
func retold(e *presence.Event, was presence.Status) bool {
	return e.Kind == presence.KindBaseline && e.From == presence.Unknown && e.To == was && was != presence.Unknown
}

// absurd says what no event can tell.
func absurd(e *presence.Event) string {
	switch leaves := e.Kind == presence.KindRemoved || e.Kind == presence.KindStale; {
	case !e.Kind.Leads(e.From, e.To), leaves && e.PrevSeq == 0:
		return fmt.Sprintf("event %d of %q: %s from %s to %s is no change", e.Seq, e.User.ID, e.Kind, e.From, e.To)
	case e.After.After(e.ObservedAt):
		return fmt.Sprintf("event %d of %q: after %s, observed at %s", e.Seq, e.User.ID,
			e.After.Format(time.RFC3339Nano), e.ObservedAt.Format(time.RFC3339Nano))
	case !e.ConfirmedAt.IsZero() && (leaves || e.ConfirmedAt.Before(e.ObservedAt)):
		return fmt.Sprintf("event %d of %q: %s, observed at %s, confirmed at %s", e.Seq, e.User.ID, e.Kind,
			e.ObservedAt.Format(time.RFC3339Nano), e.ConfirmedAt.Format(time.RFC3339Nano))
	}
	return ""
}
