package ledger

import (
	"context"
	"fmt"
)

// seizeSQL takes the lease whoever has it. The holder before may send until it
// notices, at the latest when the lease ends that it had: that moment and a rate
// window are noted at once, so that they hold also when the taker dies.
const seizeSQL = `
with before as (
    select app_id, owner, expires_at
      from apps
     where app_id = $1
       for update
)
update apps a
   set owner = $2,
       epoch = a.epoch + 1,
       expires_at = clock_timestamp() + $3,
       session_pid = $4,
       session_start = $5,
       budget_free_at = greatest(a.budget_free_at, b.expires_at + $6::interval)
  from before b
 where a.app_id = b.app_id
returning a.epoch, a.last_seq, a.last_sweep, a.last_user_no, coalesce(b.owner, '')`

// Seize takes the lease by force, also from a holder who is alive, for a work
// that sends no request. The holder is fenced from its next write on, notices
// with its next ping or renewal, and waits for the lease as anybody does; until
// then its relay may publish, which the stream alone judges. Who takes the lease
// next sends nothing before the old holder has certainly stopped.
func (l *Ledger) Seize(ctx context.Context, terms Terms) (*Lease, error) {
	conn, err := l.connect(ctx)
	if err != nil {
		return nil, fmt.Errorf("seize the lease of app %d: %w", l.app, err)
	}
	sql, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	lease := l.newLease(terms)
	session, err := l.ready(sql, conn)
	var from string
	sent := lease.now()
	if err == nil {
		err = conn.QueryRow(sql, seizeSQL, int64(l.app), terms.Owner, terms.TTL, session.pid, session.start, terms.Window).
			Scan(&lease.epoch, &lease.lastSeq, &lease.lastSweep, &lease.lastUserNo, &from)
	}
	if err != nil {
		closeConn(conn)
		return nil, fmt.Errorf("seize the lease of app %d: %w", l.app, err)
	}
	lease.start(ctx, conn, session, sent, 0)
	l.log.Info().Int64("epoch", lease.epoch).Str("from", from).Msg("lease seized")
	return lease, nil
}
