package follow

import (
	"fmt"

	"github.com/zim-presence/poller/presence"
)

// What says what an [Item] tells.
type What uint8

const (
	// Reset: what was told before is void, and the state follows from here. It is
	// the first item wherever the state is told, the first time too.
	Reset What = iota + 1
	// State: a user's status, as the last event of the user told it. A user who
	// changes while the state is read may be told twice, the later status last; who
	// is removed or goes stale meanwhile is told as unknown.
	State
	// Current: the state is complete. Who was not told since [Reset] is not
	// watched, was never answered, or not for too long.
	Current
	// Event: something happened.
	Event
	// Erased: the events First to Last were erased on somebody's request. Told only
	// if [Config.TellErased] is set.
	Erased
)

// String returns the word for logs.
func (w What) String() string {
	switch w {
	case Reset:
		return "reset"
	case State:
		return "state"
	case Current:
		return "current"
	case Event:
		return "event"
	case Erased:
		return "erased"
	}
	return fmt.Sprintf("what(%d)", uint8(w))
}

// Item is one thing that a follower tells.
type Item struct {
	What What
	// Event is the event of [Event], and the user's last one of [State]; zero
	// otherwise. Of a state its Kind is 0 where this version does not know the kind;
	// User.ID, To and Seq are right then too.
	Event presence.Event
	// Seq is how far everything has been told, this item included. A program that
	// keeps its own place stores it together with the effect of every item, and gives
	// it as [Config.After]. It is 0 in [Reset] and [State], and that is stored too: the
	// state is not complete yet, and who ends there has to begin again.
	Seq int64
	// First and Last are the numbers of an [Erased], both included.
	First, Last int64
	// Why is the reason of a [Reset] behind which something was missing; else nil.
	Why error
}

// String is for error messages and logs.
func (i Item) String() string {
	switch i.What {
	case State:
		return fmt.Sprintf("state of %q", i.Event.User.ID)
	case Event:
		return fmt.Sprintf("event %d", i.Seq)
	case Erased:
		return fmt.Sprintf("erased events %d to %d", i.First, i.Last)
	}
	return i.What.String()
}
