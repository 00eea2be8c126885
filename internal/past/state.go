package past

import (
	"bytes"
	"fmt"
	"iter"

	"github.com/RoaringBitmap/roaring/v2"

	"github.com/zim-presence/poller/presence"
)

// State is the status of everybody at one time, by user number. Who is in
// neither set is [presence.Unknown]. One goroutine owns it.
type State struct {
	online, known *roaring.Bitmap
}

// New returns the state before the first event: everybody is unknown.
func New() *State { return &State{online: roaring.New(), known: roaring.New()} }

// Restore returns the state that a snapshot holds; its bitmaps are copied. It is
// an error when they are none, or contradict each other.
func Restore(s *presence.Snapshot) (*State, error) {
	online, err := read(s.Online)
	if err != nil {
		return nil, fmt.Errorf("snapshot of sweep %d: who was online: %w", s.Sweep, err)
	}
	known, err := read(s.Known)
	if err != nil {
		return nil, fmt.Errorf("snapshot of sweep %d: who was known: %w", s.Sweep, err)
	}
	if strange := roaring.AndNot(online, known); !strange.IsEmpty() {
		return nil, fmt.Errorf("snapshot of sweep %d: %d users are online and not known, the first of them user number %d",
			s.Sweep, strange.GetCardinality(), strange.Minimum())
	}
	return &State{online: online, known: known}, nil
}

// read decodes a bitmap in the portable format; no bytes are an empty one.
func read(data []byte) (*roaring.Bitmap, error) {
	b := roaring.New()
	if len(data) == 0 {
		return b, nil
	}
	n, err := b.ReadFrom(bytes.NewReader(data))
	if err == nil {
		err = b.Validate()
	}
	if err == nil && n != int64(len(data)) {
		err = fmt.Errorf("%d bytes behind its end", int64(len(data))-n)
	}
	if err != nil {
		return nil, fmt.Errorf("a bitmap of %d bytes: %w", len(data), err)
	}
	return b, nil
}

// Apply makes the change that an event tells, whatever was known before. An
// erased event tells none.
func (s *State) Apply(t *presence.Transition) {
	if t.Kind != presence.KindErased {
		s.Set(t.User.No, t.To)
	}
}

// Set gives a user a status.
func (s *State) Set(no uint32, status presence.Status) {
	switch status {
	case presence.Online:
		s.known.Add(no)
		s.online.Add(no)
	case presence.Offline:
		s.known.Add(no)
		s.online.Remove(no)
	case presence.Unknown:
		s.known.Remove(no)
		s.online.Remove(no)
	}
}

// Status returns the status of a user.
func (s *State) Status(no uint32) presence.Status {
	switch {
	case s.online.Contains(no):
		return presence.Online
	case s.known.Contains(no):
		return presence.Offline
	}
	return presence.Unknown
}

// Users yields everybody whose status is known, by ascending number. The state
// must not change meanwhile.
func (s *State) Users() iter.Seq2[uint32, presence.Status] {
	return func(yield func(uint32, presence.Status) bool) {
		online := s.online.Iterator()
		for no := range roaring.Values(s.known) {
			status := presence.Offline
			if online.HasNext() && online.PeekNext() == no {
				online.Next()
				status = presence.Online
			}
			if !yield(no, status) {
				return
			}
		}
	}
}

// Online yields everybody online, by ascending number. The state must not change
// meanwhile.
func (s *State) Online() iter.Seq[uint32] { return roaring.Values(s.online) }

// Counts returns how many users are online, and how many are online or offline.
func (s *State) Counts() (online, known int) {
	return int(s.online.GetCardinality()), int(s.known.GetCardinality())
}

// Clone returns a copy that shares nothing with s.
func (s *State) Clone() *State { return &State{online: s.online.Clone(), known: s.known.Clone()} }

// Equal tells whether two states say the same of everybody.
func (s *State) Equal(other *State) bool {
	return s.online.Equals(other.online) && s.known.Equals(other.known)
}

// Bitmaps returns the sets of who is online and who is known, as a snapshot
// holds them.
func (s *State) Bitmaps() (online, known []byte, err error) {
	if online, err = s.online.ToBytes(); err != nil {
		return nil, nil, fmt.Errorf("bitmap of users online: %w", err)
	}
	if known, err = s.known.ToBytes(); err != nil {
		return nil, nil, fmt.Errorf("bitmap of users known: %w", err)
	}
	return online, known, nil
}
