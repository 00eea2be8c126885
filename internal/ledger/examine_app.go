package ledger

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// Standing is how one app stands at the moment: who polls it, and since when
// nothing has come of that. It is read without a lease.
type Standing struct {
	// Known is false where nobody has ever held the app's lease; all but Replicas is
	// zero then.
	Known bool
	// Owner holds the lease, or held it last if Left; empty when it was released.
	Owner string
	// Left: its holder has died, and somebody else may take it.
	Left bool
	// Expires is how long the lease is good without a renewal.
	Expires time.Duration
	// Newest is the number of the newest event, Told that of the newest one that is
	// known to be told.
	Newest, Told int64
	// Sweep is the newest complete sweep, 0 for none; Ago since when it is over.
	Sweep         int64
	Watched, Seen int
	Took, Ago     time.Duration
	// Replicas are the daemons that live and are configured for the app.
	Replicas []string
}

// Held tells whether somebody holds the app's lease who lives, as far as is known.
func (s *Standing) Held() bool { return s.Owner != "" && !s.Left }

// Standing returns how the app stands.
func (l *Ledger) Standing(ctx context.Context) (s Standing, err error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	var free, expired, gone bool
	err = l.pool.QueryRow(ctx, `
		select coalesce(a.owner, ''), greatest(interval '0', coalesce(a.expires_at - clock_timestamp(), interval '0')),
		       a.last_seq, coalesce((select told_seq from relay_cursors c where c.app_id = a.app_id), 0),`+takeable+`
		  from apps a
		 where a.app_id = $1`, int64(l.app)).Scan(&s.Owner, &s.Expires, &s.Newest, &s.Told, &free, &expired, &gone)
	s.Known, s.Left = err == nil, !free && (expired || gone)
	if err == nil {
		err = l.pool.QueryRow(ctx, `
			select sweep, watched, seen, finished - started, clock_timestamp() - finished
			  from snapshots
			 where app_id = $1
			 order by sweep desc
			 limit 1`, int64(l.app)).Scan(&s.Sweep, &s.Watched, &s.Seen, &s.Took, &s.Ago)
	}
	if err == nil || errors.Is(err, pgx.ErrNoRows) {
		s.Replicas, err = l.living(ctx)
	}
	if err != nil {
		return Standing{}, fmt.Errorf("look how app %d stands: %w", l.app, err)
	}
	return s, nil
}

// living names the daemons that live and are configured for the app.
func (l *Ledger) living(ctx context.Context) ([]string, error) {
	rows, err := l.pool.Query(ctx, `
		select owner
		  from (select owner,`+takeable+`
		          from replicas
		         where $1 = any (apps)) r
		 where not (expired or gone)
		 order by owner`, int64(l.app))
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}
