package plan

import "time"

// Want is what is to be reckoned.
type Want struct {
	// Users are asked about in each sweep. Invalid ids never are, and cost nothing.
	Users int
	// Rate is the limit, in requests a second, over 0.
	Rate float64
	// Batch is the most ids in one request, from 1.
	Batch int
	// IDBytes is how many bytes an id takes in a request, on average; 0 where that is
	// not known, and then no batch is cut for its length.
	IDBytes float64
	// Latency is that of one request, from its sending to its answer.
	Latency time.Duration
	// Timeout is that of one attempt. With the rate it bounds what is in flight.
	Timeout time.Duration
	// Gaps are between the due times that come, in their order, each over 0; one is
	// enough where all are equal. What comes behind them is taken to be like them.
	Gaps []time.Duration
	// ChangesPerHour are those that are seen, to online and to offline in all. As many
	// go the one way as the other.
	ChangesPerHour float64
	// HoldOffline and HoldOnline are for how long a change is held; 0 for not.
	HoldOffline, HoldOnline time.Duration
}

// Plan is what comes of it.
type Plan struct {
	// Batch is how many ids go into a request.
	Batch int
	// Requests are those of a sweep, without repetitions.
	Requests int
	// Sweep is from the start of a sweep to its last answer, with those requests
	// between that ask again.
	Sweep time.Duration
	// Between is the time between two answers about one user.
	Between Span
	// BackToBack is true where each sweep starts at the end of the one before.
	BackToBack bool
	// Fits is true where each sweep is over before the next is due.
	Fits bool
	// Seen is from a change to the answer that shows it. Offline and Online are from
	// a change to its event, which is the same where it is not held.
	Seen, Offline, Online Span
	// Budget is the share of the slots that is used, from 0 to 1.
	Budget float64
	// Hold is what asking again costs.
	Hold Cost
}

// Span is a time as it is on average and at the most.
type Span struct{ Mean, Worst time.Duration }

// Cost is requests, and the share of the budget that they are.
type Cost struct {
	PerSweep, PerHour float64
	Budget            float64
}
