package chaos

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/zim-presence/poller/internal/zimsim"
)

// crowd is the users who come and go, and the other programs that write the
// watchlist.
type crowd struct {
	w      *world
	users  int // of each app
	random *rand.Rand

	flips, added, removed, reloads atomic.Int64
}

const (
	flipEvery  = 50 * time.Millisecond
	flipUsers  = 5  // of one app at a time: 100 a second
	editEvery  = 10 // flips
	crowdsEach = 50 // flips: half of the users of an app at once, so that there is much to tell
)

func userName(n int) string { return fmt.Sprintf("user-%05d", n) }

// settle gives everybody a state and puts most on the watchlists.
func (c *crowd) settle() {
	// Answers take as long as over a long line: so there is always one under way
	// when something strikes.
	c.w.must(c.w.zim.addFaults("slow_answer:150ms", 0))
	for app := range uint32(c.w.apps) {
		states := make(map[string]zimsim.State, c.users)
		for n := range c.users {
			states[userName(n)] = c.state()
		}
		c.w.must(c.w.zim.set(app+1, states))
	}
	c.w.sql(fmt.Sprintf(`
		insert into watched_users (app_id, user_id)
		select a, 'user-' || lpad(n::text, 5, '0') from generate_series(1, %d) a, generate_series(0, %d) n`, c.w.apps, c.users*9/10))
}

func (c *crowd) state() zimsim.State { return zimsim.State(c.random.IntN(3)) }

// live flips users and edits the watchlists until ctx ends.
func (c *crowd) live(ctx context.Context) {
	for n := 1; pause(ctx, flipEvery); n++ {
		app := uint32(c.random.IntN(c.w.apps)) + 1
		states := map[string]zimsim.State{}
		users := flipUsers
		if n%crowdsEach == 0 {
			users = c.users / 2
		}
		for range users {
			states[userName(c.random.IntN(c.users))] = c.state()
		}
		c.w.must(c.w.zim.set(app, states))
		c.flips.Add(int64(len(states)))
		if n%editEvery == 0 {
			c.edit(ctx)
		}
	}
}

// edit changes a watchlist as other programs do. Postgres may be away: then the
// other program has failed, too.
func (c *crowd) edit(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	app := c.random.IntN(c.w.apps) + 1
	var users []string
	for range 1 + c.random.IntN(40) {
		users = append(users, userName(c.random.IntN(c.users)))
	}
	switch c.random.IntN(5) {
	case 0, 1:
		tag, err := c.w.pool.Exec(ctx, `insert into watched_users (app_id, user_id) select $1, unnest($2::text[]) on conflict do nothing`, app, users)
		if err == nil {
			c.added.Add(tag.RowsAffected())
		}
	case 2, 3:
		tag, err := c.w.pool.Exec(ctx, `delete from watched_users where app_id = $1 and user_id = any($2)`, app, users)
		if err == nil {
			c.removed.Add(tag.RowsAffected())
		}
	default:
		if c.reload(ctx) == nil {
			c.reloads.Add(1)
		}
	}
}

// reload empties the table and fills it again, in one transaction.
func (c *crowd) reload(ctx context.Context) error {
	tx, err := c.w.pool.Begin(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }()
	for _, s := range []string{
		`create temporary table kept on commit drop as select app_id, user_id from watched_users`,
		`truncate watched_users`,
		`insert into watched_users (app_id, user_id) select app_id, user_id from kept`,
	} {
		if _, err := tx.Exec(ctx, s); err != nil {
			return err
		}
	}
	return tx.Commit(ctx)
}
