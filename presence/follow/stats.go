package follow

import "sync/atomic"

// Stats counts what a follower has met with since it was made.
type Stats struct {
	// Seq is how far everything has been told.
	Seq int64
	// States and Events are items that were told.
	States, Events int64
	// Known are messages that were passed over because they had been done: delivered
	// again, or told again by a stream that was filled anew.
	Known int64
	// Erased are numbers of events that were erased on somebody's request.
	Erased int64
	// Strange are events of kinds that this version does not know.
	Strange int64
	// Foreign are messages that are no events.
	Foreign int64
	// Resets is how often the state was begun, Outages how often the reading broke
	// off and went on.
	Resets, Outages int64
}

// counts are the Stats as they grow.
type counts struct {
	heard                                                                 atomic.Int64
	Seq, States, Events, Known, Erased, Strange, Foreign, Resets, Outages atomic.Int64
}

// Stats may be called at any time.
func (f *Follower) Stats() Stats {
	c := &f.counts
	return Stats{
		Seq: c.Seq.Load(), States: c.States.Load(), Events: c.Events.Load(), Known: c.Known.Load(), Erased: c.Erased.Load(),
		Strange: c.Strange.Load(), Foreign: c.Foreign.Load(), Resets: c.Resets.Load(), Outages: c.Outages.Load(),
	}
}
