package diff

import (
	"time"

	"github.com/zim-presence/poller/presence"
)

// JudgeAge tells of everybody whose newest answer, of whatever content, was asked
// for longer than most before at that they are stale: their status is unknown until
// they are answered. Who was never answered, or is stale already, is not. It returns
// how many they were, and when the next one may be; zero for nobody.
//
// What else has changed is to be taken before, and what comes of it alone: a user
// must not have two transitions among many.
func (m *Memory) JudgeAge(most time.Duration, at time.Time, sweep int64) (users int, next time.Time) {
	oldest, bound := int64(0), at.Add(-most).UnixMicro()
	for r := range m.records() {
		if r.status == presence.Unknown {
			continue
		}
		newest := m.answered(r)
		if newest >= bound {
			if oldest == 0 || newest < oldest {
				oldest = newest
			}
			continue
		}
		m.age(r, at, sweep)
		users++
	}
	if oldest != 0 {
		next = moment(oldest).Add(most + time.Microsecond)
	}
	return users, next
}

// age tells that the user of r is stale.
func (m *Memory) age(r *record, at time.Time, sweep int64) {
	m.suppress(r, at, Stale)
	online := r.status == presence.Online
	at = m.note(r, presence.KindStale, presence.Unknown, presence.NoDetail, at, time.Time{}, sweep)
	r.flags |= stale
	if online {
		r.flags |= lately
	}
	m.put(r, presence.State{Since: at, ObservedAt: at, AskedAt: at, Watched: true})
}
