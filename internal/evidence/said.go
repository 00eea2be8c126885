package evidence

import "github.com/zim-presence/poller/presence"

// Said is what one request brought about one user, in a byte.
type Said uint8

// What a request may bring.
const (
	// Nothing: the request failed, or its answer told to ask again.
	Nothing Said = iota
	Online
	OfflineTimeout
	OfflineNoSession
	// The answer was good, and told nothing of the user: see [presence.MissReason].
	Absent
	Conflict
	Unreadable
	Refused
)

// Status is what was said; ok is false where no status was.
func (s Said) Status() (status presence.Status, detail presence.Detail, ok bool) {
	switch s {
	case Online:
		return presence.Online, presence.NoDetail, true
	case OfflineTimeout:
		return presence.Offline, presence.Timeout, true
	case OfflineNoSession:
		return presence.Offline, presence.NoSession, true
	}
	return presence.Unknown, presence.NoDetail, false
}

// Missed is why there was no status; "" where there was one, and where nothing was
// said of anybody.
func (s Said) Missed() presence.MissReason {
	switch s {
	case Absent:
		return presence.MissAbsent
	case Conflict:
		return presence.MissConflict
	case Unreadable:
		return presence.MissUnreadable
	case Refused:
		return presence.MissRefused
	}
	return ""
}

func saidStatus(o presence.Observation) Said {
	switch {
	case o.Status == presence.Online:
		return Online
	case o.Status == presence.Offline && o.Detail == presence.NoSession:
		return OfflineNoSession
	case o.Status == presence.Offline:
		return OfflineTimeout
	}
	return Nothing
}

func saidMiss(why presence.MissReason) Said {
	switch why {
	case presence.MissAbsent:
		return Absent
	case presence.MissConflict:
		return Conflict
	case presence.MissUnreadable:
		return Unreadable
	case presence.MissRefused:
		return Refused
	}
	return Nothing
}
