package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/zim-presence/poller/internal/ledger"
	"github.com/zim-presence/poller/migrations"
)

func (d *doctor) trySchema(ctx context.Context, x *ledger.Examination, c *chart) error {
	s, err := x.Schema(ctx)
	if err != nil {
		return err
	}
	found, newest := &d.database, migrations.Newest()
	switch {
	case s.Version == 0 && !s.MayCreate:
		found.bare, found.why = true, "the database has no tables yet"
		c.fault("schema", "poller migrate with the DSN of the role that is to own the tables; or name the right database and schema in database.url",
			"the database has no tables of the poller, and this role may not make them")
	case s.Version == 0:
		found.bare, found.why = true, "the database has no tables yet"
		c.warn("schema", "poller migrate; poller run does it too", "the database has no tables of the poller yet")
	case s.Version < newest:
		found.why = "the schema is older than this program"
		c.fault("schema", "poller migrate, with the DSN of the role that owns the tables; poller run does it too, unless --no-migrate",
			"version %d, and this program needs %d", s.Version, newest)
	case s.Version > newest:
		found.usable = true
		c.warn("schema", "use the newer version of the poller, if you did not go back on purpose", "version %d, made by a newer program; this one knows %d", s.Version, newest)
	default:
		found.usable = true
		c.ok("schema", "version %d", s.Version)
	}
	return nil
}

func (d *doctor) tryRights(ctx context.Context, x *ledger.Examination, c *chart) error {
	if !d.database.usable {
		c.untried("rights", "%s", d.database.why)
		return nil
	}
	r, err := x.Rights(ctx)
	if err != nil {
		return err
	}
	switch {
	case len(r.Missing) > 0:
		c.fault("rights", grants(append(r.Missing, r.Optional...), r.Role), "role %s lacks %s", r.Role, strings.Join(r.Missing, "; "))
	case len(r.Optional) > 0:
		c.warn("rights", grants(r.Optional, r.Role)+"; or run poller prune daily, as the role that owns the tables",
			"role %s may not drop what is past its age: it lacks %s", r.Role, strings.Join(r.Optional, "; "))
	default:
		c.ok("rights", "role %s may do all that the daemon does", r.Role)
	}
	return nil
}

// grants are the statements that grant what is missing.
func grants(missing []string, role string) string {
	lines := []string{"as the role that owns the tables:"}
	for _, m := range missing {
		lines = append(lines, fmt.Sprintf("grant %s to %s;", m, role))
	}
	return strings.Join(lines, "\n")
}

// leastAhead is how many days of partitions there are at least where a daemon has run in the last days.
const leastAhead = 2

func (d *doctor) tryPartitions(ctx context.Context, x *ledger.Examination, c *chart) error {
	if !d.database.usable {
		c.untried("partitions", "%s", d.database.why)
		return nil
	}
	days, err := x.Ahead(ctx)
	if err != nil {
		return err
	}
	if days < leastAhead {
		c.warn("partitions", "none, where no daemon has run lately: the next one makes them. Else look in its log for partitions were not made",
			"the ledger has partitions for %s from today on", plural(int64(days), "day"))
		return nil
	}
	c.ok("partitions", "%s from today on", plural(int64(days), "day"))
	return nil
}
