package stream

import (
	"context"
	"errors"
	"fmt"

	"github.com/zim-presence/poller/presence"
)

// Fate is what became of an event in the event stream.
type Fate string

// The fates.
const (
	// There: its message stands in the stream, and has its id.
	There Fate = "there"
	// Untold: the stream does not come up to it yet.
	Untold Fate = "not told yet"
	// Expired: the stream begins behind it.
	Expired Fate = "expired"
	// Gone: there are messages before and behind it, and its own was deleted.
	Gone Fate = "deleted"
	// Another: a message stands there with its number and another id. The database,
	// or the stream, was restored to another state.
	Another Fate = "another event"
)

// Whereabouts is where an event stands in the event stream.
type Whereabouts struct {
	Seq       int64
	Fate      Fate
	StreamSeq uint64 // only for There and Another
	ID        string // of the message there
}

// Find says of each event where it stands in the event stream, which is proven by
// reading the message there. told is how far the ledger remembers to have told. It
// takes a request or two an event, and some more where the distance between seq and
// place has changed in between. [ErrMissing]: there is no such stream.
func (s *Stream) Find(ctx context.Context, events []presence.Event, told int64) ([]Whereabouts, error) {
	f := &finding{stream: s, told: told}
	if err := f.begin(ctx); err != nil {
		return nil, fmt.Errorf("look for events in %s: %w", s.name(), err)
	}
	found := make([]Whereabouts, len(events))
	for i := range events {
		var err error
		if found[i], err = f.find(ctx, &events[i]); err != nil {
			return nil, fmt.Errorf("look for event %d in %s: %w", events[i].Seq, s.name(), err)
		}
	}
	return found, nil
}

// finding looks for events, the number of which grows with their place.
type finding struct {
	stream      *Stream
	told        int64
	first, last uint64
	near        Whereabouts // one whose place is known; zero for none
}

func (f *finding) begin(ctx context.Context) error {
	info, err := f.stream.info(ctx, f.stream.name())
	if err != nil {
		return err
	}
	f.first, f.last = max(1, info.State.FirstSeq), info.State.LastSeq
	msg, err := f.stream.message(ctx, selector{LastBySubject: subjectPrefix(f.stream.cfg.AppID) + "*.*"})
	if isCode(err, codeNoMessageFound) {
		return nil
	}
	if err == nil {
		f.near, err = f.stream.whereabouts(msg)
	}
	if foreign := new(ForeignError); errors.As(err, &foreign) {
		err = nil // somebody else's stands at the end; the search passes over it
	}
	return err
}

// whereabouts reads whose a message is.
func (s *Stream) whereabouts(msg stored) (Whereabouts, error) {
	seq, id, err := s.numbered(msg)
	return Whereabouts{Seq: seq, StreamSeq: msg.Seq, ID: id}, err
}

func (f *finding) find(ctx context.Context, e *presence.Event) (Whereabouts, error) {
	at, err := f.guess(ctx, e.Seq)
	if err == nil && at.Seq != e.Seq {
		at, err = f.search(ctx, e.Seq)
	}
	if err != nil {
		return Whereabouts{}, err
	}
	switch {
	case at.Seq == e.Seq && at.ID == e.ID():
		at.Fate, f.near = There, at
		return at, nil
	case at.Seq == e.Seq:
		at.Fate = Another
		return at, nil
	}
	fate, err := f.fate(ctx, e.Seq, at)
	return Whereabouts{Seq: e.Seq, Fate: fate}, err
}

// fate is that of an event that is not there; next is the first behind it, zero for
// none.
func (f *finding) fate(ctx context.Context, seq int64, next Whereabouts) (Fate, error) {
	if next.Seq == 0 && seq > f.told {
		return Untold, nil
	}
	oldest, found, err := f.at(ctx, f.first)
	if found && oldest.Seq < seq {
		return Gone, nil
	}
	return Expired, err
}

// guess reads the message at the place that is as far from a known one as the
// numbers are: the distance stays unless messages of others came in between.
func (f *finding) guess(ctx context.Context, seq int64) (Whereabouts, error) {
	place := int64(f.near.StreamSeq) - (f.near.Seq - seq)
	if f.near.Seq == 0 || place < int64(f.first) || place > int64(f.last) {
		return Whereabouts{}, nil
	}
	at, _, err := f.at(ctx, uint64(place))
	return at, err
}

// search finds the first message, in the order of places, whose number is seq or
// higher; zero for none.
func (f *finding) search(ctx context.Context, seq int64) (least Whereabouts, err error) {
	for low, high := f.first, f.last+1; low < high; {
		middle := low + (high-low)/2
		at, found, err := f.at(ctx, middle)
		switch {
		case err != nil:
			return Whereabouts{}, err
		case !found:
			high = middle
		case at.Seq >= seq:
			least, high = at, middle
		default:
			low = at.StreamSeq + 1
		}
	}
	return least, nil
}

// at reads the first event at a place or behind it.
func (f *finding) at(ctx context.Context, place uint64) (at Whereabouts, found bool, err error) {
	for {
		msg, err := f.stream.message(ctx, selector{Seq: place, NextBySubject: ">"})
		if isCode(err, codeNoMessageFound) {
			return Whereabouts{}, false, nil
		}
		if err != nil {
			return Whereabouts{}, false, err
		}
		at, err := f.stream.whereabouts(msg)
		if foreign := new(ForeignError); errors.As(err, &foreign) {
			place = msg.Seq + 1
			continue
		}
		return at, err == nil, err
	}
}

// Entry returns a user's entry in the bucket; Seq 0 where there is none, or where
// it is no event. StreamSeq is its place in the bucket's own stream.
func (s *Stream) Entry(ctx context.Context, user string) (presence.Told, error) {
	name := BucketStreamName(s.cfg.AppID)
	var answer struct {
		Message stored `json:"message"`
	}
	key := selector{LastBySubject: "$KV." + BucketName(s.cfg.AppID) + "." + presence.EncodeUser(user)}
	err := s.request(ctx, "STREAM.MSG.GET."+name, key, &answer)
	var told presence.Told
	if err == nil {
		told, err = s.told(answer.Message)
	}
	if foreign := new(ForeignError); isCode(err, codeNoMessageFound) || errors.As(err, &foreign) {
		return presence.Told{}, nil
	}
	if err != nil {
		return presence.Told{}, fmt.Errorf("read the user's entry in %s: %w", name, err)
	}
	return told, nil
}
