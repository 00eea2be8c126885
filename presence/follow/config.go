package follow

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"github.com/zim-presence/poller/presence"
)

// OnGap says what a follower does where events are missing that nobody has told to
// be erased, or where the numbering began anew.
type OnGap uint8

const (
	// Stop ends Run with the *[GapError] or *[AnewError].
	Stop OnGap = iota
	// BeginAgain tells a [Reset], whose Why is the error, and then the state anew.
	BeginAgain
)

// Config says what is to be followed. Only App must be set.
type Config struct {
	// App is the AppID.
	App uint32
	// Users are the ids of the users to follow; none means everybody. Up to
	// [FilteredUsers] are picked out by the server, and proved by prev_seq; of more
	// everything is read, proved by seq, and picked out here.
	Users []string
	// Kinds are the kinds of events to be told; none means all. The state is told
	// of everybody, whatever the kind of their last event.
	Kinds []presence.Kind
	// Durable names a consumer at the server that keeps how far the program has
	// come, for programs without a store of their own. Empty means none. One
	// program at a time may use a name.
	Durable string
	// After is the number behind which to go on, for a program that keeps what it
	// has done itself: the [Item.Seq] of the last item that was done, 0 included.
	// Behind a number no state is told. 0 means to begin with the state, or where
	// Durable stands: so a program that ended while the state was told, the first
	// time or behind a [Reset] later, does not go on with half of it.
	After int64
	// OnGap says what to do about missing events.
	OnGap OnGap
	// TellErased adds items of [Erased] for events that were erased on somebody's
	// request: all that is known behind the state, or at the start, and then what
	// comes, within half a minute. Who keeps events, or what was made of them, has to
	// delete those, also where they were told long ago. What was erased is told again
	// at each start.
	TellErased bool
	// Log hears of outages at level warn, of what was passed over at debug. Nil: nobody.
	Log *slog.Logger
}

// FilteredUsers is the most users that are picked out by the server.
const FilteredUsers = 256

func (c *Config) check() error {
	if c.App == 0 {
		return errors.New("follow: app id is 0")
	}
	if c.After < 0 {
		return fmt.Errorf("follow app %d: after %d is negative", c.App, c.After)
	}
	if c.OnGap > BeginAgain {
		return fmt.Errorf("follow app %d: no such way to deal with a gap: %d", c.App, c.OnGap)
	}
	if strings.ContainsFunc(c.Durable, illegalInName) {
		return fmt.Errorf("follow app %d: %q is no name of a consumer", c.App, c.Durable)
	}
	for _, kind := range c.Kinds {
		if _, err := presence.ParseKind(kind.String()); err != nil {
			return fmt.Errorf("follow app %d: %w", c.App, err)
		}
	}
	if slices.Contains(c.Users, "") {
		return fmt.Errorf("follow app %d: a user without an id", c.App)
	}
	return nil
}

func illegalInName(r rune) bool { return r <= ' ' || r == 0x7f || strings.ContainsRune(`.*>/\`, r) }
