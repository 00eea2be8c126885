package ledger

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"time"

	"github.com/jackc/pgx/v5"
)

// Examination looks over one connection at the database that a poller is to work
// with, whatever state that is in. It writes nothing. One goroutine at a time may
// use it.
type Examination struct{ conn *pgx.Conn }

// Examine connects as the poller does. The error is that of pgx.
func Examine(ctx context.Context, settings *pgx.ConnConfig) (*Examination, error) {
	conn, err := pgx.ConnectConfig(ctx, settings)
	if err != nil {
		return nil, err
	}
	return &Examination{conn}, nil
}

// Close closes the connection.
func (x *Examination) Close() { closeConn(x.conn) }

// Reached says how the server was reached.
type Reached struct {
	// Role and Database are those of the session.
	Role, Database string
	// Local: over a Unix socket, or on this machine's loopback interface.
	Local bool
	// TLS is the version of TLS on our own side, "" for none. Verified: the server's
	// certificate was held against an authority.
	TLS      string
	Verified bool
	// Direct: the session is our own; else a pooler, or what translates addresses,
	// stands between.
	Direct bool
}

// Reached returns how the server was reached.
func (x *Examination) Reached(ctx context.Context) (r Reached, err error) {
	if err = x.conn.QueryRow(ctx, `select current_user, current_database()`).Scan(&r.Role, &r.Database); err != nil {
		return r, fmt.Errorf("look who we are: %w", err)
	}
	s, err := sessionOf(ctx, x.conn)
	if err != nil {
		return r, err
	}
	r.Direct = s.pid != nil
	conn := x.conn.PgConn().Conn()
	if secure, ok := conn.(*tls.Conn); ok {
		r.TLS, r.Verified = tls.VersionName(secure.ConnectionState().Version), x.verified()
	}
	switch addr := conn.RemoteAddr().(type) {
	case *net.UnixAddr:
		r.Local = true
	case *net.TCPAddr:
		r.Local = addr.IP.IsLoopback()
	}
	return r, nil
}

// verified tells whether the settings want a certificate that somebody has signed.
func (x *Examination) verified() bool {
	c := x.conn.Config().TLSConfig
	return c != nil && (!c.InsecureSkipVerify || c.VerifyPeerCertificate != nil || c.VerifyConnection != nil)
}

// Server is how a server, and our session on it, are set.
type Server struct {
	// Number is the version as in server_version_num, Version as people write it.
	Number            int
	Version, Encoding string
	// Standby: it replays another server's log and takes no writes. ReadOnly:
	// transactions are read-only unless they say otherwise.
	Standby, ReadOnly bool
	// Durable settings; SynchronousCommit is the word that is set.
	Fsync, FullPageWrites bool
	SynchronousCommit     string
	// The timeouts that a session of ours has; 0 for none.
	StatementTimeout, TransactionTimeout, IdleInTransactionTimeout, IdleSessionTimeout time.Duration
	// Ahead is how far this machine's clock is ahead of the server's, give or take
	// Within.
	Ahead, Within time.Duration
}

// Server returns how the server is set.
func (x *Examination) Server(ctx context.Context) (s Server, err error) {
	var statement, transaction, idle, session int64
	var now time.Time
	began := time.Now()
	err = x.conn.QueryRow(ctx, `
		with timeouts as (
		    select coalesce(max(setting::bigint) filter (where name = 'statement_timeout'), 0) as statement,
		           coalesce(max(setting::bigint) filter (where name = 'transaction_timeout'), 0) as transaction,
		           coalesce(max(setting::bigint) filter (where name = 'idle_in_transaction_session_timeout'), 0) as idle,
		           coalesce(max(setting::bigint) filter (where name = 'idle_session_timeout'), 0) as session
		      from pg_settings
		     where name in ('statement_timeout', 'transaction_timeout', 'idle_in_transaction_session_timeout', 'idle_session_timeout')
		)
		select current_setting('server_version_num')::integer, current_setting('server_version'), current_setting('server_encoding'),
		       pg_is_in_recovery(), current_setting('default_transaction_read_only')::boolean,
		       current_setting('fsync')::boolean, current_setting('full_page_writes')::boolean, current_setting('synchronous_commit'),
		       statement, transaction, idle, session, clock_timestamp()
		  from timeouts`).Scan(&s.Number, &s.Version, &s.Encoding, &s.Standby, &s.ReadOnly, &s.Fsync, &s.FullPageWrites,
		&s.SynchronousCommit, &statement, &transaction, &idle, &session, &now)
	if err != nil {
		return s, fmt.Errorf("read the server's settings: %w", err)
	}
	ended := time.Now()
	const unit = time.Millisecond // of these settings
	s.StatementTimeout, s.TransactionTimeout = time.Duration(statement)*unit, time.Duration(transaction)*unit
	s.IdleInTransactionTimeout, s.IdleSessionTimeout = time.Duration(idle)*unit, time.Duration(session)*unit
	s.Within = ended.Sub(began)
	s.Ahead = began.Add(s.Within / 2).Sub(now)
	return s, nil
}

// Schema is how far the schema is.
type Schema struct {
	// Version is the newest migration that the database has; 0 for none.
	Version int64
	// MayCreate: the role may make tables, which a first migration does.
	MayCreate bool
}

// Schema returns how far the schema is.
func (x *Examination) Schema(ctx context.Context) (s Schema, err error) {
	var tables bool
	err = x.conn.QueryRow(ctx, `
		select to_regclass('poller_migrations') is not null,
		       coalesce(has_schema_privilege(current_schema(), 'create'), false)`).Scan(&tables, &s.MayCreate)
	if err == nil && tables {
		err = x.conn.QueryRow(ctx, `select coalesce(max(version_id), 0) from poller_migrations where is_applied`).Scan(&s.Version)
	}
	if err != nil {
		return s, fmt.Errorf("read which migrations the database has: %w", err)
	}
	return s, nil
}

// Ahead returns how many days of partitions the ledger has from today on by the
// database's clock, without a gap: 0 for not even today's.
func (x *Examination) Ahead(ctx context.Context) (days int, err error) {
	err = x.conn.QueryRow(ctx, `
		with today as (select (clock_timestamp() at time zone 'UTC')::date as day),
		made as (
		    select n
		      from today, generate_series(0, 60) n
		     where exists (select
		                     from pg_inherits i
		                     join pg_class c on c.oid = i.inhrelid
		                    where i.inhparent = 'transitions'::regclass
		                      and c.relname::text = 'transitions_' || to_char((day + n)::timestamp, 'YYYYMMDD'))
		)
		select coalesce(min(n), 61)
		  from generate_series(0, 60) n
		 where n not in (select n from made)`).Scan(&days)
	if err != nil {
		return 0, fmt.Errorf("count the partitions ahead: %w", err)
	}
	return days, nil
}

// Room returns how many more connections the role may open, and how many the
// server takes in all.
func (x *Examination) Room(ctx context.Context) (left, most int, err error) {
	err = x.conn.QueryRow(ctx, `
		with taken as (
		    select count(*) as everybody,
		           count(*) filter (where s.datname = current_database()) as here,
		           count(*) filter (where s.usename = current_user) as ours
		      from pg_stat_activity s
		     where s.backend_type = 'client backend'
		), allowed as (
		    select current_setting('max_connections')::integer as most,
		           case when r.rolsuper then 0
		                else current_setting('superuser_reserved_connections')::integer
		                     + coalesce(current_setting('reserved_connections', true)::integer, 0)
		           end as kept,
		           case when r.rolsuper or r.rolconnlimit < 0 then 1000000 else r.rolconnlimit end as role,
		           case when r.rolsuper or d.datconnlimit < 0 then 1000000 else d.datconnlimit end as database
		      from pg_roles r, pg_database d
		     where r.rolname = current_user and d.datname = current_database()
		)
		select greatest(0, least(most - kept - everybody, role - ours, database - here))::integer, most
		  from taken, allowed`).Scan(&left, &most)
	if err != nil {
		return 0, 0, fmt.Errorf("count the connections: %w", err)
	}
	return left, most, nil
}
