package replay

// Report is how far a replay is.
type Report struct {
	// Told is how many messages of it have been told, in all its runs; Now how many of
	// them in this one.
	Told, Now int64
	// Seq is the event up to which it has come.
	Seq int64
	// Erased is how many events were passed over in this run because they are erased.
	Erased int64
	// Nameless is how many users were passed over in this run whose number no longer
	// has a name: they were erased.
	Nameless int64
}
