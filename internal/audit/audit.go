// Package audit proves that what the poller keeps and tells agrees: the ledger
// with itself, snapshots and state with the ledger, stream and bucket with both,
// and in tests the state with the truth and arrivals with the limit. It is a
// second opinion: it looks at Postgres and at NATS for itself and not through
// the doors that it judges. It writes nothing.
//
// It imports presence, pgx, nats.go, and the library of the bitmaps.
//
// What it holds against each other:
//
//	transitions ──→ gapless, each user's chain whole, each interval ←─ true changes
//	     │ each row's bytes      │ folded from snapshot to snapshot   │ by user
//	     ↓                       ↓                                    ↓
//	PRESENCE_<app>           snapshots                           user_states ←─ truth
//	     ↑ holes                                                 held_changes
//	PRESENCE_CONTROL_<app>                                       KV_presence_<app>
//
// Invariants:
//
//   - Postgres is read in one read-only transaction, so as of one moment. The ends
//     of the streams are noted before it: what they hold up to there was in the
//     ledger at that moment. What came later is not judged.
//   - What is missing is fine where the database says why, and nowhere else: it
//     was dropped for its age (apps.pruned_seq), an adoption went on without it
//     (gaps), or it was erased (kind erased in the ledger, and told so).
//   - What follows from one fault is not told as another, as far as it can be seen.
//
// It keeps a sum of 8 bytes for each event and one entry for each user, so that
// millions of events fit.
package audit

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/zim-presence/poller/presence"
)

// Audit is what is to be looked at, for one app.
type Audit struct {
	DB  *pgxpool.Pool
	JS  jetstream.JetStream
	App uint32
	// Range is which events are looked at; the zero value: all that are there.
	Range Range
	// Live says that the program may be running, and that the stream may have
	// dropped what is old: what is not told yet is no finding, and the watchlist,
	// which other programs change, is not looked at. Without it the program must
	// have come to rest, and all that the ledger has must be in the stream.
	Live bool
	// Truth says how a user stands at ZIM, and whether that has been so for long
	// enough to be known. It is asked about watched users. Nil: nobody's is known.
	Truth func(user string) (status presence.Status, detail presence.Detail, known bool)
	// Changes returns when a user's status truly changed, in any order. Each event
	// that tells a change has to have one between its after and its observed_at.
	// Nil: that is not looked at.
	Changes func(user string) []Change
	// Slack is by how much the clock of the changes may be apart from the program's.
	Slack time.Duration
	// Patience is how long the bucket may take to catch up with the stream; zero
	// means that it must have.
	Patience time.Duration
}

// inspection is an audit under way. One goroutine owns it.
type inspection struct {
	Audit
	report *Report
	book   *book

	// As noted before the database was read:
	events, bucket, control shore
	noted                   int64 // the newest event that had been told
	// As the database had it:
	kept kept
	// strange are subjects of messages that the stream should not have: the server
	// has copied them into the bucket.
	strange map[string]bool
}

// Run looks at everything. The error says that it could not; what was found is
// in the report then, too, but more may be wrong.
func (a Audit) Run(ctx context.Context) (*Report, error) {
	it := &inspection{Audit: a, report: newReport(a.App), book: newBook(), strange: map[string]bool{}}
	for _, part := range []struct {
		of   string
		look func(context.Context) error
	}{
		{"stream", it.noteStreams},
		{"database", it.readDatabase},
		{"stream", it.readStream},
		{"bucket", it.readBucket},
	} {
		if err := part.look(ctx); err != nil {
			return it.report, fmt.Errorf("audit the %s of app %d: %w", part.of, a.App, err)
		}
	}
	return it.report, nil
}
