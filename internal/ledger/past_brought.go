package ledger

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/zim-presence/poller/presence"
)

// How many events are followed back at most: of one user, and of all who are
// asked about. The latter take about 20 s.
const (
	walkOfOne = 10_000
	walkOfAll = 200_000
)

// Brought is the event that brought a user's status.
type Brought struct {
	Seq        int64
	ObservedAt time.Time
	To         presence.Status
}

// link is one event of a user.
type link struct {
	no        uint32
	seq, prev int64
	kind      string
	to        presence.Status
	observed  time.Time
}

// BroughtBy finds, by number, the events that brought the status which certain
// users had at a time: the newest that was known by then, see
// [presence.Transition.KnownAt], up to the event last. A baseline that only told the status again is passed over. Who is not in
// the result has no such event, or it is not there any more.
//
// Nothing is indexed by user: each user's events are followed back from the
// newest, by their keys, which costs about 0.1 ms for each in a ledger of 90
// days. Not more than 10,000 of a user are, and 200,000 of all together.
func (p *Past) BroughtBy(ctx context.Context, numbers []uint32, at time.Time, last int64) (map[uint32]Brought, error) {
	ctx, cancel := context.WithTimeout(ctx, loadTimeout)
	defer cancel()
	brought := map[uint32]Brought{}
	chains, err := p.chains(ctx, numbers, at, last)
	if err != nil {
		return nil, fmt.Errorf("read which events brought the status of users of app %d: %w", p.ledger.app, err)
	}
	for no, chain := range chains {
		if e := bringer(chain); e != nil {
			brought[no] = Brought{e.seq, e.observed, e.to}
		}
	}
	return brought, nil
}

// bringer finds the event among a user's, the newest first; nil where it is none
// of them.
func bringer(chain []link) *link {
	for i := range chain {
		e := &chain[i]
		switch {
		case e.kind != presence.KindBaseline.String(), e.prev == 0:
			return e
		case i+1 == len(chain):
			return nil // whether it told the status again cannot be known
		case chain[i+1].to != e.to:
			return e
		}
	}
	return nil
}

// chains reads each user's events back from the newest one by then to the first
// that is no baseline. The subselects keep the planner from reading the ledger
// as a whole.
func (p *Past) chains(ctx context.Context, numbers []uint32, at time.Time, last int64) (map[uint32][]link, error) {
	signed := make([]int64, len(numbers))
	for i, no := range numbers {
		signed[i] = int64(no)
	}
	steps := min(walkOfOne, walkOfAll/max(1, len(numbers)))
	rows, err := p.db.Query(ctx, `
		with recursive walk as (
			select u.user_no, t.seq, t.prev_seq, t.kind, t.to_status, t.observed_at, t.known_at, t.recorded_at, 1 as step
			  from user_states u
			 cross join lateral (select seq, prev_seq, kind, to_status, observed_at, coalesce(confirmed_at, observed_at) as known_at, recorded_at
			                       from transitions
			                      where app_id = $1 and seq = u.last_seq
			                      limit 1) t
			 where u.app_id = $1 and u.user_no = any($2)
			 union all
			select w.user_no, t.seq, t.prev_seq, t.kind, t.to_status, t.observed_at, t.known_at, t.recorded_at, w.step + 1
			  from walk w
			 cross join lateral (select seq, prev_seq, kind, to_status, observed_at, coalesce(confirmed_at, observed_at) as known_at, recorded_at
			                       from transitions
			                      where app_id = $1 and seq = w.prev_seq and recorded_at <= w.recorded_at
			                      limit 1) t
			 where w.prev_seq between 1 and w.seq - 1 and w.step < $5
			   and (w.known_at > $3 or w.seq > $4 or w.kind = 'baseline'))
		select user_no, seq, prev_seq, kind, to_status, observed_at
		  from walk
		 where known_at <= $3 and seq <= $4
		 order by user_no, step`, int64(p.ledger.app), signed, at, last, steps)
	if err != nil {
		return nil, err
	}
	chains := map[uint32][]link{}
	var e link
	var to string
	_, err = pgx.ForEachRow(rows, []any{&e.no, &e.seq, &e.prev, &e.kind, &to, &e.observed}, func() (err error) {
		e.to, err = presence.ParseStatus(to)
		e.observed = e.observed.UTC()
		chains[e.no] = append(chains[e.no], e)
		return err
	})
	return chains, err
}
