package follow

import (
	"errors"
	"fmt"
)

// ErrRunning is returned by a Run beside another of the same follower.
var ErrRunning = errors.New("this follower runs already")

// errNoEvent says that a body is not of an event.
var errNoEvent = errors.New("no event")

// GapError says that events are missing: the stream no longer holds them, and
// nobody has told that they were erased.
type GapError struct {
	App uint32
	// First and Last are the missing numbers. Where only some users are read, both
	// are the number of one missing event of theirs, or the numbers among which one
	// may be missing.
	First, Last int64
}

func (e *GapError) Error() string {
	if e.First == e.Last {
		return fmt.Sprintf("app %d: event %d is missing", e.App, e.First)
	}
	return fmt.Sprintf("app %d: events %d to %d are missing", e.App, e.First, e.Last)
}

// AnewError says that the numbering began anew: the app was started over, or
// stream and database were restored to an earlier state.
type AnewError struct {
	App uint32
	// Seq is the last event that was told, and Log what its id said.
	Seq int64
	Log string
	// NewSeq and NewLog are of an event that stands in the stream instead.
	NewSeq int64
	NewLog string
}

func (e *AnewError) Error() string {
	return fmt.Sprintf("app %d: event %d of log %s stands where %d of log %s was told: the numbering began anew",
		e.App, e.NewSeq, e.NewLog, e.Seq, e.Log)
}

// DurableError says that the durable consumer cannot be used: it was made for other
// users, or by another program. Take another name.
type DurableError struct {
	App     uint32
	Durable string
	Why     string
}

func (e *DurableError) Error() string {
	return fmt.Sprintf("app %d: the durable consumer %s was made %s: take another name", e.App, e.Durable, e.Why)
}

// enough is an error of the program's own function, which ends the run.
type enough struct {
	item Item
	err  error
}

func (e *enough) Error() string { return fmt.Sprintf("%s: %v", e.item, e.err) }

func (e *enough) Unwrap() error { return e.err }
