package ledger

import (
	"context"
	"fmt"
	"net"
	"time"

	"github.com/jackc/pgx/v5"
)

// session is the database session of a connection as pg_stat_activity shows it
// to everybody; empty when the connection may not be direct.
type session struct {
	pid   *int32
	start *time.Time
}

// connect opens the lease's own connection: a pool's may be busy or closed.
func (l *Ledger) connect(ctx context.Context) (*pgx.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	return pgx.ConnectConfig(ctx, l.pool.Config().ConnConfig)
}

// sessionOf returns the session to be named in the row. It is named only when
// the connection is direct, for behind a pooler the session is not ours, and may
// end while we live: the server has to have greeted us with the pid that it has
// now, where a pooler gives cancel keys of its own, and over TCP it has to see
// the port of our own socket.
func sessionOf(ctx context.Context, conn *pgx.Conn) (session, error) {
	var pid int32
	var start *time.Time
	var port *int
	err := conn.QueryRow(ctx, `
		select pid, backend_start, inet_client_port()
		  from pg_stat_activity
		 where pid = pg_backend_pid()`).Scan(&pid, &start, &port)
	if err != nil {
		return session{}, fmt.Errorf("look up our own session: %w", err)
	}
	if start == nil || uint32(pid) != conn.PgConn().PID() {
		return session{}, nil
	}
	switch addr := conn.PgConn().Conn().LocalAddr().(type) {
	case *net.UnixAddr:
		return session{&pid, start}, nil
	case *net.TCPAddr:
		if port != nil && *port == addr.Port {
			return session{&pid, start}, nil
		}
	}
	return session{}, nil
}

// closeConn closes politely, but does not wait for a server that is silent.
func closeConn(conn *pgx.Conn) {
	if conn == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = conn.Close(ctx) // nothing is lost with it
}
