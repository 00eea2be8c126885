package ledger

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// keep pings the lease's session and renews the lease until it is stopped or
// the lease is lost. It owns conn, and leaves the one that it came to behind.
func (l *Lease) keep(ctx context.Context, conn *pgx.Conn) {
	defer close(l.kept)
	defer func() { l.conn = conn }()
	ticker := time.NewTicker(pingEvery)
	defer ticker.Stop()
	renewed := time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		var err error
		conn, renewed, err = l.beat(ctx, conn, renewed)
		if ctx.Err() != nil {
			return
		}
		if errors.Is(err, ErrFenced) || !l.good() {
			l.log.Warn().Err(err).Int64("epoch", l.epoch).Msg("lease lost")
			close(l.lost)
			return
		}
		if err != nil {
			l.log.Debug().Err(err).Msg("the lease's session does not answer")
		}
	}
}

// beat does what is due: finds a new session, renews, or pings. It returns the
// connection to go on with, and when the lease was last renewed.
func (l *Lease) beat(ctx context.Context, conn *pgx.Conn, renewed time.Time) (*pgx.Conn, time.Time, error) {
	now := time.Now()
	if conn.IsClosed() {
		again, err := l.rejoin(ctx)
		if err != nil {
			return conn, renewed, err
		}
		return again, now, nil
	}
	if now.Sub(renewed) < l.terms.TTL/3 {
		return conn, renewed, l.ping(ctx, conn)
	}
	if err := l.renew(ctx, conn, nil); err != nil {
		return conn, renewed, err
	}
	return conn, now, nil
}

// patience is how long one statement under the lease may take. A write holds the
// app's row, which a renewal has to wait for: one that took longer than the TTL
// would cost its own lease.
func (l *Lease) patience() time.Duration { return max(silence, l.terms.TTL/3) }

// rejoin names a new session in the row in place of one that has died.
func (l *Lease) rejoin(ctx context.Context) (*pgx.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, l.patience())
	defer cancel()
	conn, err := l.ledger.connect(ctx)
	if err != nil {
		return nil, err
	}
	if err := l.renew(ctx, conn, sessionOf); err != nil {
		closeConn(conn)
		return nil, err
	}
	return conn, nil
}

// renew puts the lease's end a TTL ahead. With naming it also names conn's
// session; without, the session that stands in the row stays.
func (l *Lease) renew(ctx context.Context, conn *pgx.Conn, naming func(context.Context, *pgx.Conn) (session, error)) error {
	ctx, cancel := context.WithTimeout(ctx, l.patience())
	defer cancel()
	named := l.sessionNamed()
	var s session
	if naming != nil {
		var err error
		if s, err = naming(ctx, conn); err != nil {
			return err
		}
		named = s.pid != nil
	}
	sent := l.now()
	tag, err := conn.Exec(ctx, `
		update apps
		   set expires_at = clock_timestamp() + $3,
		       session_pid = case when $4 then $5 else session_pid end,
		       session_start = case when $4 then $6 else session_start end
		 where app_id = $1 and epoch = $2 and owner = $7`,
		int64(l.ledger.app), l.epoch, l.terms.TTL, naming != nil, s.pid, s.start, l.terms.Owner)
	if err != nil {
		return fmt.Errorf("renew the lease of app %d: %w", l.ledger.app, err)
	}
	if tag.RowsAffected() == 0 {
		return ErrFenced
	}
	l.extend(sent, named)
	return nil
}

// ping asks the session for a sign of life, and whether the lease is still
// ours: an answer that did not know of a taker must not let us go on. In a
// database that was restored under us a taker may have come to our epoch; the
// name tells.
func (l *Lease) ping(ctx context.Context, conn *pgx.Conn) error {
	if !l.sessionNamed() {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, l.patience())
	defer cancel()
	sent := l.now()
	var ours bool
	err := conn.QueryRow(ctx, `select exists (select from apps where app_id = $1 and epoch = $2 and owner = $3)`,
		int64(l.ledger.app), l.epoch, l.terms.Owner).Scan(&ours)
	if err != nil {
		return fmt.Errorf("ping the lease's session: %w", err)
	}
	if !ours {
		return ErrFenced
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.hear(sent)
	return nil
}

// extend notes that a renewal which left at sent has been answered.
func (l *Lease) extend(sent clocks, named bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.until = sent.after(l.terms.TTL - margin(l.terms.TTL))
	l.hear(sent)
	if !named {
		l.pinged = clocks{}
	}
}

// hear notes that the session answered what left at sent. mu is held.
func (l *Lease) hear(sent clocks) {
	l.pinged = sent.after(silence)
	close(l.heard)
	l.heard = make(chan struct{})
}

// margin is what the holder stops short of the TTL, for clocks that do not run
// alike.
func margin(ttl time.Duration) time.Duration { return ttl / 20 }

// good tells whether the lease has not run out by our own clocks.
func (l *Lease) good() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return !l.until.reached(l.now())
}

func (l *Lease) sessionNamed() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return !l.pinged.isZero()
}
