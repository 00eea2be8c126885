package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/zim-presence/poller/internal/ledger"
)

const leastPostgres = 140_000 // as in server_version_num

// mostAhead is by how much the clocks of the database and of this machine may differ before it is said.
const mostAhead = 2 * time.Second

func (d *doctor) tryServer(ctx context.Context, x *ledger.Examination, c *chart) error {
	s, err := x.Server(ctx)
	if err != nil {
		return err
	}
	if s.Number < leastPostgres {
		c.fault("version", "upgrade to PostgreSQL 14 or newer", "%s", s.Version)
	} else {
		c.ok("version", "%s", s.Version)
	}
	if s.Encoding != "UTF8" {
		c.warn("encoding", "make the database anew with encoding 'UTF8'", "%s; the poller is tested with UTF8", s.Encoding)
	} else {
		c.ok("encoding", "UTF8")
	}
	switch {
	case s.Standby:
		c.fault("writable", "name the primary in database.url, or target_session_attrs=read-write with all hosts", "this is a standby: it takes no writes")
	case s.ReadOnly:
		c.fault("writable", "alter database … reset default_transaction_read_only, or that of the role", "transactions are read-only (default_transaction_read_only)")
	default:
		c.ok("writable", "yes")
	}
	d.tryDurability(c, s)
	tryTimeouts(c, s)
	d.tryAhead(c, s.Ahead, s.Within)
	return nil
}

// tryAhead compares the clock of the database with ours.
func (d *doctor) tryAhead(c *chart, ahead, within time.Duration) {
	if ahead.Abs() > mostAhead+within {
		c.warn("clock", "have both clocks set by NTP", "this machine's is %s the database's: times of events are this machine's, leases and ages the database's", aheadText(ahead))
		return
	}
	c.ok("clock", "agrees with this machine's (%s apart at the most)", (ahead.Abs() + within/2).Round(time.Millisecond))
}

// aheadText says how one clock is to another.
func aheadText(ahead time.Duration) string {
	if ahead < 0 {
		return shortly(-ahead) + " behind"
	}
	return shortly(ahead) + " ahead of"
}

func (d *doctor) tryDurability(c *chart, s ledger.Server) {
	var off []string
	for _, setting := range []struct {
		name string
		on   bool
	}{{"fsync", s.Fsync}, {"full_page_writes", s.FullPageWrites}, {"synchronous_commit", s.SynchronousCommit != "off"}} {
		if !setting.on {
			off = append(off, setting.name)
		}
	}
	if len(off) > 0 {
		c.warn("durability", "set "+strings.Join(off, ", ")+" = on", "%s off: after a crash of the server the ledger may lack what was told already", isAre(off))
		return
	}
	c.ok("durability", "fsync, full_page_writes, synchronous_commit = %s", s.SynchronousCommit)
}

// isAre is a list of what is something.
func isAre(names []string) string {
	if len(names) == 1 {
		return names[0] + " is"
	}
	return strings.Join(names, ", ") + " are"
}

// The least that timeouts of the server may be: loading the state may take two minutes, and a connection of the pool
// may rest for a while.
const (
	leastStatement = 2 * time.Minute
	leastIdle      = time.Minute
)

func tryTimeouts(c *chart, s ledger.Server) {
	var short []string
	for _, timeout := range []struct {
		name       string
		set, least time.Duration
	}{
		{"statement_timeout", s.StatementTimeout, leastStatement}, {"transaction_timeout", s.TransactionTimeout, leastStatement},
		{"idle_in_transaction_session_timeout", s.IdleInTransactionTimeout, leastIdle}, {"idle_session_timeout", s.IdleSessionTimeout, leastIdle},
	} {
		if timeout.set > 0 && timeout.set < timeout.least {
			short = append(short, fmt.Sprintf("%s is %s, less than %s", timeout.name, timeout.set, timeout.least))
		}
	}
	if len(short) > 0 {
		c.warn("timeouts", "alter role … set it to 0, or to more than that", "%s", strings.Join(short, "; "))
		return
	}
	c.ok("timeouts", "none that is too short")
}

func (d *doctor) tryRoom(ctx context.Context, x *ledger.Examination, c *chart) error {
	left, most, err := x.Room(ctx)
	if err != nil {
		return err
	}
	// As openDatabase has them, and one each that names its session: of each lease, and of the register of replicas.
	need := 4*len(d.cfg.Apps) + 3
	if left < need {
		c.warn("connections", "raise max_connections, or the limit of the role or the database", "%d of %d are left, and a daemon may need %d; one that runs has its own already", left, most, need)
		return nil
	}
	c.ok("connections", "%d of %d are left, a daemon needs up to %d", left, most, need)
	return nil
}
