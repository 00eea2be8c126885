package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/nats-io/nats.go"

	"github.com/zim-presence/poller/internal/relay"
	"github.com/zim-presence/poller/internal/stream"
	"github.com/zim-presence/poller/internal/zim"
)

// What an error knows goes before what its kind says, and that before what the check says.
func TestMendOf(t *testing.T) {
	plain := errors.New("no idea")
	for _, c := range []struct {
		name, check string
		err         error
		want        string // in it; "" for none at all
	}{
		{"green", "nats", nil, ""},
		{"of a check that nobody knows", "weather/1", plain, ""},
		{"of the check", "postgres", plain, "database.url"},
		{"of the check of an app", "zim/4000000001", plain, "zim.base_url"},
		{"of its kind, by the database", "ledger/1", fmt.Errorf("commit: %w", &pgconn.PgError{Code: "53100"}), "room on the disk of Postgres"},
		{"a code that says nothing", "ledger/1", &pgconn.PgError{Code: "XX000"}, "log"},
		{"of its kind, by NATS", "stream/1", fmt.Errorf("append: %w: %w", stream.ErrFull, plain), "nats stream edit PRESENCE_1 --max-msgs=-1 --max-bytes=-1; "},
		{"of its kind, where nobody knows which stream", "stream", stream.ErrFull, "raise the limit of the stream"},
		{"a statement that waited too long", "ledger/1", fmt.Errorf("commit: timeout: %w", context.DeadlineExceeded), "PollerLedgerRefused"},
		{"a lock that was not to be had", "ledger/1", &pgconn.PgError{Code: "55P03"}, "PollerLedgerRefused"},
		{"a duplicate, and not merely a surprise", "stream/1", fmt.Errorf("%w: %w", stream.ErrSurprise, stream.ErrDuplicate), "wait two minutes"},
		{"no connection", "stream/1", fmt.Errorf("%w: %w", stream.ErrSurprise, nats.ErrReconnectBufExceeded), "nats.url"},
		{"its own: a contradiction", "stream/1", fmt.Errorf("a: %w", &relay.ContradictionError{App: 7, Seq: 3}), "poller adopt --app 7"},
		{"its own: a foreign message", "stream/1", &stream.ForeignError{Stream: "PRESENCE_7", StreamSeq: 9}, "nats stream rmm PRESENCE_7 9"},
		{"its own: streams that were altered", "stream/1", &stream.MismatchError{Differences: []stream.Difference{{Mend: "nats x"}, {Mend: "nats y"}, {Mend: "nats x"}}}, "nats x; nats y"},
		{"its own: a code of ZIM", "zim/1", fmt.Errorf("nobody: %w", &zim.Error{Class: zim.Stop, Code: 100000005}), "check the server secret"},
		{"ZIM, which answers with an error page", "zim/1", &zim.OutageError{Err: &zim.Error{Class: zim.Weather, Status: 503}}, "ZEGOCLOUD's status"},
		{"ZIM, which is asked too often", "zim/1", fmt.Errorf("nobody: %w", &zim.Error{Class: zim.Slow, Status: 200, Code: 7}), "lower zim.rate"},
		{"a failure of the way to ZIM", "zim/1", &zim.OutageError{Err: &zim.Error{Class: zim.Weather, Err: plain}}, "zim.base_url"},
	} {
		if got := mendOf(c.check, c.err); (got == "") != (c.want == "") || !strings.Contains(got, c.want) {
			t.Errorf("%s: mend of %v for %s is %q, want %q in it", c.name, c.err, c.check, got, c.want)
		}
	}
}

// Each check of readiness that is in the manual has a mend.
func TestEveryCheckHasAMend(t *testing.T) {
	page, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(page), "| check | red means | mend |")
	table, _, _ = strings.Cut(table, "\n\n")
	rows := 0
	for _, line := range strings.Split(strings.TrimSpace(table), "\n")[1:] {
		rows++
		name, _, _ := strings.Cut(strings.TrimPrefix(line, "| `"), "`")
		if mendOf(name, errors.New("something")) == "" {
			t.Errorf("the check %q of the manual has no mend", name)
		}
	}
	if rows < 9 {
		t.Errorf("the manual has %d checks, want all", rows)
	}
}
