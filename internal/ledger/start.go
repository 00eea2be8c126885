package ledger

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
)

// ready sees to it that the app has a row, and returns the session to be named in
// it: that of conn.
func (l *Ledger) ready(ctx context.Context, conn *pgx.Conn) (session, error) {
	s, err := sessionOf(ctx, conn)
	if err == nil {
		_, err = conn.Exec(ctx, `insert into apps (app_id) values ($1) on conflict do nothing`, int64(l.app))
	}
	return s, err
}

// newLease returns a lease that has yet to be won.
func (l *Ledger) newLease(terms Terms) *Lease {
	return &Lease{ledger: l, terms: terms, log: l.log, now: readClocks,
		kept: make(chan struct{}), lost: make(chan struct{}), heard: make(chan struct{})}
}

// start keeps a lease that was won by a statement which left at sent, on conn,
// which then is the lease's. It may send when wait is over. ctx does not end it.
func (l *Lease) start(ctx context.Context, conn *pgx.Conn, s session, sent clocks, wait time.Duration) {
	l.notBefore = time.Now().Add(wait)
	l.extend(sent, s.pid != nil)
	ctx, l.stop = context.WithCancel(context.WithoutCancel(ctx))
	go l.keep(ctx, conn)
}
