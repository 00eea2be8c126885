package main

import (
	"context"
	"errors"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/nats-io/nats.go"

	"github.com/zim-presence/poller/internal/status"
	"github.com/zim-presence/poller/internal/stream"
)

// mendOf says what to do about an error, for whoever shows it: readiness, the page, the log, poller doctor. An error
// that knows best is asked first; then what its kind says; then what the subject says, a check's name with or without
// its app. Empty where nobody knows.
func mendOf(name string, err error) string {
	if err == nil {
		return ""
	}
	subject, app, _ := strings.Cut(name, "/")
	for _, mend := range []string{zimMend(err), status.Mend(err), databaseMend(err), fullMend(app, err), natsMend(err)} {
		if mend != "" {
			return mend
		}
	}
	if subject == "ledger" && errors.Is(err, context.DeadlineExceeded) {
		return endBlocker
	}
	return mendOfSubject(subject)
}

// endBlocker is for a statement that waited for a lock, or for a slow disk.
const endBlocker = "see who holds a lock, and end that: docs/operations.md has the query under PollerLedgerRefused; if nobody does, see why Postgres is slow: its disk, its log"

// fullMend is what to do about a stream that is full, where it is known whose.
func fullMend(app string, err error) string {
	if app == "" || !errors.Is(err, stream.ErrFull) {
		return ""
	}
	return "where it is the stream that is limited: nats stream edit PRESENCE_" + app + " --max-msgs=-1 --max-bytes=-1; or larger numbers, where the limits protect the disk; " +
		"else raise the limit of the account, or make room on the disk of NATS; nothing is dropped"
}

// mendOfSubject is what to do about a check of which nothing more is known.
func mendOfSubject(subject string) string {
	switch subject {
	case "postgres":
		return "see that Postgres runs and is reached from here; database.url (POLLER_DATABASE_URL)"
	case "nats":
		return "see that NATS runs and is reached from here; nats.url (POLLER_NATS_URL)"
	case "schema":
		return "poller migrate, as the owner of the tables"
	case "lease", "ledger":
		return "see what Postgres says in its own log; if it is well, this heals by itself"
	case "stream":
		return "see that NATS runs with JetStream, and has room"
	case "lag":
		return "see the check stream of this app; where that is green, wait: it is being told"
	case "sweep":
		return "look at the other checks and at the log; if they are green, restart and report it"
	case "zim":
		return "see that ZIM is reached from here: network, DNS, proxy, firewall; zim.base_url (POLLER_ZIM_BASE_URL)"
	case "watchlist":
		return "if it is meant, nothing; if not, load the list again before the next sweep"
	}
	return ""
}

// databaseMend is what to do about what Postgres, or the way to it, says.
func databaseMend(err error) string {
	refused, ok := errors.AsType[*pgconn.PgError](err)
	if !ok {
		if _, dialed := errors.AsType[*pgconn.ConnectError](err); dialed && !errors.Is(err, context.Canceled) {
			return mendOfSubject("postgres")
		}
		return ""
	}
	switch refused.Code {
	case "28P01", "28000":
		return "check user and password in database.url (POLLER_DATABASE_URL), and pg_hba.conf"
	case "3D000":
		return "make the database, or check its name in database.url (POLLER_DATABASE_URL)"
	case "42501":
		return "poller doctor, which names each right that is missing and has the grant; docs/operations.md lists all under Permissions"
	case "42P01", "42703", "42883", "3F000":
		return "poller migrate, as the owner of the tables"
	case "53100":
		return "make room on the disk of Postgres"
	case "53300":
		return "raise max_connections of Postgres, or have fewer programs connect"
	case "55P03":
		return endBlocker
	case readOnly:
		return "the database only reads: connect to the primary, or switch default_transaction_read_only off"
	case "57P03":
		return "wait: Postgres starts, stops or recovers"
	}
	return ""
}

// natsMend is what to do about what NATS, or the way to it, says.
func natsMend(err error) string {
	for _, kind := range []struct {
		is   error
		mend string
	}{
		{stream.ErrDuplicate, "wait two minutes"},
		{stream.ErrFull, "raise the limit of the stream or of the account, or make room on the disk of NATS; nothing is dropped"},
		{stream.ErrDenied, "grant what docs/operations.md lists under Permissions"},
		{stream.ErrTooLarge, "raise max_payload of NATS and max_msg_size of the stream to a kilobyte or more"},
		{stream.ErrAltered, "see who changed the stream: nats stream info says how it stands"},
		{nats.ErrAuthorization, "check user, password, token or nats.creds of NATS; nats.url (POLLER_NATS_URL)"},
		{nats.ErrAuthExpired, "get new credentials of NATS: nats.creds (POLLER_NATS_CREDS)"},
		{nats.ErrPermissionViolation, "grant what docs/operations.md lists under Permissions"},
		{nats.ErrNoServers, mendOfSubject("nats")},
		{nats.ErrDisconnected, mendOfSubject("nats")},
		{nats.ErrReconnectBufExceeded, mendOfSubject("nats")},
	} {
		if errors.Is(err, kind.is) {
			return kind.mend
		}
	}
	return ""
}
