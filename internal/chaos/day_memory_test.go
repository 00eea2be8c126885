package chaos

import (
	"github.com/rs/zerolog"

	"github.com/zim-presence/poller/internal/ledger"
	"github.com/zim-presence/poller/presence"
)

// remember reads what was true, which sweeps there were, and what was told.
func (d *day) remember() {
	turns := d.readLives()
	missed := d.readSweeps()
	d.must(ledger.New(d.pool, 1, zerolog.Nop()).Past().Events(d.t.Context(), presence.Cursor{},
		d.count(`select last_seq from apps where app_id = 1`), func(page []presence.Event) error {
			d.events = append(d.events, page...)
			return nil
		}))
	d.t.Logf("%d true changes, %d events, %d complete sweeps, %d users missed in them", turns, len(d.events), len(d.lives.sweeps), missed)
	if missed == 0 {
		d.t.Error("nobody was ever missed: the day was too good")
	}
}

// readLives returns how often somebody's status truly changed.
func (d *day) readLives() (turns int) {
	// In this order: who then has no change was always as the truth says, though they
	// live on.
	truth, err := d.zim.truth(1)
	d.must(err)
	changes, slack, err := d.zim.changes(1)
	d.must(err)
	d.lives = &lives{users: map[string]*life{}, slack: slack}
	for user, state := range truth {
		status, _, _ := standing(state)
		l := &life{status: line{first: status}, watched: line{first: isNot, turns: d.edits[user]}}
		for i, c := range changes[user] {
			if i == 0 {
				l.status.first = presence.Online + presence.Offline - c.To // the other one
			}
			l.status.turns = append(l.status.turns, turn{from: c.At, to: c.At, value: c.To})
			turns++
		}
		d.lives.users[user] = l
	}
	rows, err := d.pool.Query(d.t.Context(), `select user_no, user_id from user_states where app_id = 1`)
	d.must(err)
	defer rows.Close()
	for rows.Next() {
		var no uint32
		var user string
		d.must(rows.Scan(&no, &user))
		d.lives.users[user].number = no
	}
	d.must(rows.Err())
	return turns
}

// readSweeps returns how many users were missed in the complete sweeps.
func (d *day) readSweeps() (missed int) {
	rows, err := d.pool.Query(d.t.Context(), `
		select s.started, s.finished,
		       coalesce((select array_agg(array[lower(r), upper(r)] order by r) from unnest(s.missed) r), '{}')
		  from snapshots s
		 where s.app_id = 1
		 order by s.sweep`)
	d.must(err)
	defer rows.Close()
	for rows.Next() {
		var s looked
		var spans [][]int32
		d.must(rows.Scan(&s.started, &s.finished, &spans))
		for _, m := range spans {
			s.missed = append(s.missed, span{uint32(m[0]), uint32(m[1])})
			missed += int(m[1] - m[0])
		}
		d.lives.sweeps = append(d.lives.sweeps, s)
	}
	d.must(rows.Err())
	return missed
}
