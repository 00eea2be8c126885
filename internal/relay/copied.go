package relay

import (
	"context"
	"fmt"

	"github.com/zim-presence/poller/presence"
)

// CopyError says that the newest event of the stream is a copy of one that the
// stream had long held: somebody else has published it again. To go on behind it
// would tell everything since then twice.
type CopyError struct {
	App       uint32
	Seq       int64
	StreamSeq uint64 // of the copy
	Told      int64  // what the stream had come to before
	User      string // whose event it is, as in its subject; empty where that is not known
}

func (e *CopyError) Error() string {
	return fmt.Sprintf("message %d of the stream is a copy of event %d, and the stream had come to event %d before: somebody else writes to it; mend: %s",
		e.StreamSeq, e.Seq, e.Told, e.Mend())
}

// Mend holds the commands that remove the copy: from the stream, and from the bucket,
// which has taken it over.
func (e *CopyError) Mend() string {
	mend := fmt.Sprintf("nats stream rmm PRESENCE_%d %d", e.App, e.StreamSeq)
	if e.User != "" {
		mend += fmt.Sprintf("; nats stream purge KV_presence_%d --subject '$KV.presence_%d.%s'", e.App, e.App, e.User)
	}
	return mend
}

// copied refuses an event that stands further on in the stream than one with a
// higher number: within one stream both numbers only grow.
func (r *Relay) copied(ctx context.Context, tail *presence.Tail) error {
	known := r.cursor
	if known.StreamCreated.IsZero() {
		var err error
		if known, err = r.Cursors.Cursor(ctx); err != nil {
			return err
		}
	}
	if known.StreamCreated.Equal(presence.Instant(tail.Created)) && tail.KeptAt > known.StreamSeq && tail.Kept < known.Seq {
		user := ""
		if row, found, err := r.Ledger.Event(ctx, tail.Kept); err == nil && found && row.Kind != presence.KindErased {
			user = presence.EncodeUser(row.User.ID)
		}
		return &CopyError{App: r.App, Seq: tail.Kept, StreamSeq: tail.KeptAt, Told: known.Seq, User: user}
	}
	return nil
}
