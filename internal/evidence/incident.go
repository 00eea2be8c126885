package evidence

import "time"

// Incident is that so many users were said to have gone at once that it was not
// believed at once, and what became of it.
type Incident struct {
	// Number counts the incidents of a term, from 1.
	Number int
	// Began is when it was noticed, Ended zero while it lasts.
	Began, Ended time.Time
	// Released tells that it turned out to be true; else it is discarded.
	Released bool
	// Flips is how many users were said to have gone; Share is of those online.
	Flips int
	Share float64
}

// mostIncidents bounds the incidents of an app.
const mostIncidents = 64
