package zimsim

import (
	"iter"
	"time"
)

// population is whoever an app's gateway answers about: living or scripted. All of its methods may be called at once.
type population interface {
	// look appends the visible state of each user to dst, all at one instant.
	look(users []string, dst []State) []State
	// set makes the states visible, all at one instant, and returns it. It changes nothing when it returns an error.
	set(states map[string]State) (time.Time, error)
	// known says the state of one user and whether the population has such a user.
	known(user string) (State, bool)
	// truth yields everybody at one instant, which it passes first. The population stands still meanwhile.
	truth(at func(time.Time)) iter.Seq2[string, State]
	// changes copies the kept changes after seq and says how many older ones were dropped.
	changes(seq uint64) (kept []Change, dropped uint64)
	// advance lets everything happen that is due by now.
	advance()
	// size is the number of users it has.
	size() int
}
