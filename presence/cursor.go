package presence

import "time"

// Tail is the end of an app's event stream.
type Tail struct {
	// StreamSeq is the stream's last sequence number, which the next publish
	// has to expect; 0 for a stream that never held a message.
	StreamSeq uint64
	// First is the sequence number of the oldest message that is left, or one
	// more than the last where none is.
	First uint64
	// Created is when the stream was made: one made anew counts from 1 again.
	Created time.Time
	// Found tells whether the last message can still be read; it cannot when it
	// has expired or was deleted. The fields below are empty then, but for Kept
	// and KeptAt.
	Found bool
	// Kept is the Presence-Seq of the newest event that can be read, 0 for none;
	// KeptAt is its place in the stream.
	Kept   int64
	KeptAt uint64
	// Bucket is the newest event that the bucket holds, which may outlive the
	// stream's. It is read only where the last message is not found; Seq 0 for none.
	Bucket  Told
	Seq     int64 // its Presence-Seq
	ID      string
	Subject string
	Data    []byte
}

// Cursor is how far the ledger has been told, as the ledger remembers it. The
// zero value says that nothing has been told.
type Cursor struct {
	Seq           int64
	StreamSeq     uint64 // of Seq in the stream
	StreamCreated time.Time
	RecordedAt    time.Time // of Seq in the ledger
}

// BucketNote is what the ledger remembers of the bucket. The zero value says that
// nothing is known of it.
type BucketNote struct {
	// Whole is when the bucket was made that was last seen to have everybody whose
	// status is known.
	Whole time.Time
	// PurgedTo: the keys of users who were removed before have been purged.
	PurgedTo time.Time
}

// BucketState is how a bucket stands.
type BucketState struct {
	Created time.Time
	// Keys is how many users have an entry.
	Keys int64
	// Newest is its newest event, 0 for none.
	Newest int64
	// Drained tells that the event stream holds nothing that could yet be copied.
	Drained bool
}
