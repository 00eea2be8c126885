package evidence

import (
	"time"

	"github.com/zim-presence/poller/presence"
)

// Decision is that something which was answered about a user was not told.
type Decision struct {
	At time.Time
	// What became of it, and Why: words.
	What, Why string
	// To and Detail are what was answered; SeenAt is when it was first, After when
	// the answer before was asked for. The times may be zero.
	To            presence.Status
	Detail        presence.Detail
	After, SeenAt time.Time
}

// noted is a decision as it is kept.
type noted struct {
	Decision
	no uint32
}

// mostDecisions bounds the decisions of an app: some hundred kilobytes.
const mostDecisions = 4096

// Incident is that many at once were said to have gone, and what became of it.
type Incident struct {
	// Began is when it was noticed, Ended zero while it lasts.
	Began, Ended time.Time
	// Outcome is a word, "" while it lasts.
	Outcome string
	// Flips is how many users were said to have gone; Share is of those online.
	Flips int
	Share float64
}

// mostIncidents bounds the incidents of an app.
const mostIncidents = 64
