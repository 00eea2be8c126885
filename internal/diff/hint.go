package diff

import (
	"math/rand/v2"
	"time"

	"github.com/zim-presence/poller/presence"
)

// Known is what is known of one user.
type Known struct {
	User   presence.User
	Status presence.Status // as told
	// Becomes is the status of the change that waits, or is gated; unknown for none.
	Becomes presence.Status
	// AskedAt is when the newest answer about the user was asked for; zero for never.
	AskedAt time.Time
}

// Know returns what is known of a user, ok false for one who is not watched.
func (m *Memory) Know(id string) (k Known, ok bool) {
	r := m.find(id)
	if r == nil {
		return Known{}, false
	}
	k = Known{User: presence.User{No: r.no, ID: r.id}, Status: r.status, AskedAt: moment(m.answered(r))}
	if r.flags&waiting != 0 {
		k.Becomes = m.held[r.no].to
	}
	return k, true
}

// AskBeside notes that users are asked about beside a sweep: from now on answers may
// overtake each other.
func (m *Memory) AskBeside() { m.asksAgain = true }

// DrawOnline draws up to most users who are told to be online and of whom no change
// waits, none of them twice. It looks at so many places only, and finds fewer where few
// are online.
func (m *Memory) DrawOnline(most int, dice *rand.Rand) []presence.User {
	const looks = 100 // a user wanted
	drawn := make(map[uint32]struct{}, most)
	var users []presence.User
	for n := 0; n < looks*most && len(users) < most && m.top > 0; n++ {
		r := m.at(dice.Uint32N(m.top))
		if _, twice := drawn[r.no]; twice || r.id == "" || r.status != presence.Online || r.flags&waiting != 0 {
			continue
		}
		drawn[r.no] = struct{}{}
		users = append(users, presence.User{No: r.no, ID: r.id})
	}
	return users
}

// Changes tells whether an observation, asked for then, says that a user has come or
// gone of whom nothing of that sort is known.
func (k *Known) Changes(o presence.Observation, asked time.Time) bool {
	told := k.Status == presence.Online || k.Status == presence.Offline
	says := o.Status == presence.Online || o.Status == presence.Offline
	return told && says && o.Status != k.Status && k.Becomes == presence.Unknown && !asked.Before(k.AskedAt)
}
