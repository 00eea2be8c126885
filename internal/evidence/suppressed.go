package evidence

import (
	"time"

	"github.com/zim-presence/poller/presence"
)

// Suppressed is a change that was seen, and will never be told.
type Suppressed struct {
	At  time.Time // when that was known
	Why string    // a word
	// To and Detail are what was answered, SeenAt when it was first, and After when
	// the last answer before was asked for; it may be zero.
	To            presence.Status
	Detail        presence.Detail
	After, SeenAt time.Time
}

// dropped is a change that was suppressed, as it is kept.
type dropped struct {
	at, after, seen int64 // microseconds since 1970; 0 for none
	why             string
	no              uint32
	to              presence.Status
	detail          presence.Detail
}

// How many suppressed changes are kept of an app: one for each watched user, within
// these bounds, which are 48 kB and 1.5 MB.
const (
	leastDropped = 1 << 10
	mostDropped  = 1 << 15
)

func newDropped(no uint32, s Suppressed) dropped {
	return dropped{
		at: micros(s.At), after: micros(s.After), seen: micros(s.SeenAt), why: s.Why, no: no, to: s.To, detail: s.Detail,
	}
}

func (d *dropped) suppressed() Suppressed {
	return Suppressed{
		At: moment(d.at), Why: d.why, To: d.to, Detail: d.detail, After: moment(d.after), SeenAt: moment(d.seen),
	}
}

func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

func moment(micros int64) time.Time {
	if micros == 0 {
		return time.Time{}
	}
	return time.UnixMicro(micros).UTC()
}
