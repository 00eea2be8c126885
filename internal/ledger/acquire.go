package ledger

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// takeable is what lets somebody else take the lease: it is free, has expired,
// or was left by a session that is gone. pg_stat_activity hides the start of
// sessions of roles that we are no member of; such a one counts as there.
const takeable = `
           owner is null as free,
           coalesce(expires_at <= clock_timestamp(), false) as expired,
           session_pid is not null and not exists (
               select
                 from pg_stat_activity s
                where s.pid = session_pid and (s.backend_start is null or s.backend_start = session_start)
           ) as gone`

// takeSQL takes the lease if it may be taken, and says how long the taker has
// to wait before it sends. The row is locked before it is looked at. A session
// that is gone counts before an expiry: after a failover the clock of the new
// primary may be ahead, so that what expired there has not for its holder.
//
// The wait is noted in the row as well: should the taker give the lease back
// before it is over, the next one waits for the rest. It is bounded, since the
// clock of a new primary may be far behind the one that noted it.
//
// Snapshots are looked at for databases of an earlier version, which did not move
// last_sweep with them.
const takeSQL = `
with before as (
    select app_id, budget_free_at,` + takeable + `
      from apps
     where app_id = $1
       for update
), due as (
    select b.*,
           greatest(interval '0',
                    case when isfinite(b.budget_free_at) then b.budget_free_at - clock_timestamp() end,
                    case when b.free then interval '0' when b.gone then $6::interval + $7::interval else $6::interval end) as noted
      from before b
), bounded as (
    select d.*, least(d.noted, $6::interval + $8::interval) as wait
      from due d
)
update apps a
   set owner = $2,
       epoch = a.epoch + 1,
       expires_at = clock_timestamp() + $3,
       session_pid = $4,
       session_start = $5,
       budget_free_at = clock_timestamp() + b.wait,
       last_sweep = greatest(a.last_sweep, coalesce((select max(sweep) from snapshots where app_id = $1), 0))
  from bounded b
 where a.app_id = b.app_id and (b.free or b.expired or b.gone)
returning a.epoch, a.last_seq, a.last_sweep, a.last_user_no, a.log, b.wait, b.noted`

// longestWait, or a TTL if that is longer, and a rate window are the most that a
// holder can have left to wait for: a pause that ZIM asked for, or what remains of
// a lease that was seized.
const longestWait = 5 * time.Minute

// take tries to take the lease on conn, which then is the lease's.
func (l *Ledger) take(ctx context.Context, conn *pgx.Conn, terms Terms) (*Lease, error) {
	ctxSQL, cancel := context.WithTimeout(ctx, takeTimeout)
	defer cancel()
	session, err := l.ready(ctxSQL, conn)
	if err != nil {
		return nil, fmt.Errorf("take the lease of app %d: %w", l.app, err)
	}
	if err := l.look(ctxSQL, conn); err != nil {
		return nil, err
	}
	lease := l.newLease(terms)
	sent := lease.now()
	var wait, noted time.Duration
	err = conn.QueryRow(ctxSQL, takeSQL, int64(l.app), terms.Owner, terms.TTL, session.pid, session.start, terms.Window, silence,
		max(terms.TTL, longestWait)).Scan(&lease.epoch, &lease.lastSeq, &lease.lastSweep, &lease.lastUserNo, &lease.events, &wait, &noted)
	if errors.Is(err, pgx.ErrNoRows) { // another was faster
		if err := l.look(ctxSQL, conn); err != nil {
			return nil, err
		}
		return nil, fmt.Errorf("take the lease of app %d: another had it for a moment", l.app)
	}
	if err != nil {
		return nil, fmt.Errorf("take the lease of app %d (does a transaction hold its row in apps?): %w", l.app, err)
	}
	lease.start(ctx, conn, session, sent, wait)
	if noted > wait {
		l.log.Warn().Dur("noted", noted).Dur("wait", wait).Msg("the budget is noted to be free later than can be: was the database's clock set back?")
	}
	l.log.Info().Int64("epoch", lease.epoch).Int64("seq", lease.lastSeq).Dur("wait", wait).
		Bool("session_named", session.pid != nil).Msg("lease taken")
	return lease, nil
}

// look returns a [*HeldError] while the lease cannot be taken. It locks nothing:
// who waits must not stand in the way of the holder's commits.
func (l *Ledger) look(ctx context.Context, conn *pgx.Conn) error {
	held := &HeldError{App: l.app}
	var free, expired, gone bool
	err := conn.QueryRow(ctx, `
		select coalesce(owner, ''), greatest(interval '0', coalesce(expires_at - clock_timestamp(), interval '0')),`+takeable+`
		  from apps
		 where app_id = $1`, int64(l.app)).Scan(&held.Owner, &held.Expires, &free, &expired, &gone)
	switch {
	case err != nil:
		return fmt.Errorf("read the holder of the lease of app %d: %w", l.app, err)
	case free || expired || gone:
		return nil
	}
	return held
}
