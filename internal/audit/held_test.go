package audit_test

import (
	"strconv"
	"time"

	"github.com/zim-presence/poller/internal/audit"
	"github.com/zim-presence/poller/internal/diff"
	"github.com/zim-presence/poller/internal/ledger"
	"github.com/zim-presence/poller/presence"
)

// hold goes on with holds, and with one sweep more, which lasts so long that who was seen in it has gone stale at its end.
func (p *past) hold(lease *ledger.Lease, memory *diff.Memory, at time.Time) {
	t, ctx := p.t, p.t.Context()
	users := map[string]presence.User{}
	statuses := map[string]presence.Status{}
	must(t, lease.Load(ctx, func(u ledger.Loaded) error {
		users[u.State.User.ID], statuses[u.State.User.ID] = u.State.User, u.State.Status
		return nil
	}))
	memory.SetHold(diff.Hold{Offline: time.Minute, Online: time.Minute}, nil)
	number := int64(sweeps)
	// says has users answered that many seconds later: as they are told to be, or not.
	says := func(after int, as bool, ids ...string) {
		a := presence.Answer{AskedAt: at.Add(time.Duration(after) * time.Second), At: at.Add(time.Duration(after)*time.Second + time.Second/2)}
		for _, id := range ids {
			o := presence.Observation{User: users[id], Status: presence.Online}
			if (statuses[id] == presence.Online) != as {
				o.Status, o.Detail = presence.Offline, presence.Timeout
			}
			a.Observations = append(a.Observations, o)
		}
		memory.Observe(a, number)
		must(t, lease.Commit(ctx, memory.Take(), number))
	}
	var others []string
	for u := range memory.Users() {
		if u.ID != quiet && u.ID != left && u.ID != again {
			others = append(others, u.ID)
		}
	}
	says(20, false, lasting)
	says(90, false, lasting) // it is confirmed
	statuses[lasting] = presence.Online + presence.Offline - statuses[lasting]
	number++
	before := memory.LastSeq()
	says(100, true, others...)
	memory.JudgeAge(90*time.Second, at.Add(110*time.Second), number)
	must(t, lease.Commit(ctx, memory.Take(), number))
	says(120, true, again)
	says(121, false, fickle)
	at = at.Add(130 * time.Second)
	memory.BeginWatchlist()
	for id := range users {
		if id != left {
			memory.Mark([]byte(id))
		}
	}
	memory.EndWatchlist(at, number)
	must(t, lease.Commit(ctx, memory.Take(), number))
	online, known, err := memory.Bitmaps()
	must(t, err)
	must(t, lease.SaveSnapshot(ctx, presence.Snapshot{
		Sweep: number, Started: at, Finished: at.Add(3 * time.Second), Seq: memory.LastSeq(), Watched: memory.Len(), Seen: memory.Len(),
		Transitions: int(memory.LastSeq() - before), Online: online, Known: known,
	}))
}

func heldDamages() []damage {
	of := func(user, sql string) func(*copied) string {
		return func(c *copied) string {
			c.sql(sql+` where user_no = (select user_no from user_states u where user_id = $1)`, user)
			return user
		}
	}
	event := func(user, sql string) func(*copied) string {
		return func(c *copied) string {
			seq := c.number(`select max(seq) from transitions where user_id = $1`, user)
			c.sql(sql+` where seq = $1`, seq)
			return strconv.FormatInt(seq, 10)
		}
	}
	state := []audit.Kind{audit.State}
	const another = `update held_changes set user_no = (select user_no from user_states where user_id = `
	return []damage{
		{name: "what waits is of nobody", want: state, harm: func(c *copied) string {
			c.sql(`update held_changes set user_no = 4711`)
			return "4711"
		}},
		{name: "what waits is of who has left", want: state, harm: func(c *copied) string {
			c.sql(another+`$1)`, left)
			return left
		}},
		{name: "what waits is of who is unknown", want: state, harm: func(c *copied) string {
			c.sql(another+`$1)`, quiet)
			return quiet
		}},
		{name: "what waits is told", want: state, harm: of(fickle, `update held_changes set status = case status when 'online' then 'offline' else 'online' end`)},
		{name: "what waits came after it was seen", want: state, harm: of(fickle, `update held_changes set after = seen_at + interval '1 microsecond'`)},
		{name: "what waits came before what is told", want: state, harm: of(fickle, `update held_changes set after = (select asked_at - interval '1 microsecond' from user_states u where u.user_no = held_changes.user_no)`)},
		{name: "who is stale is not", want: state, harm: of(quiet, `update user_states set stale = false`)},
		{name: "who is not stale is", want: state, harm: of(left, `update user_states set stale = true`)},
		{name: "who is online is stale", want: state, harm: of(mover, `update user_states set stale = true`)},
		{name: "confirmed before it was seen", want: []audit.Kind{audit.Altered, audit.Bucket, audit.Chain}, harm: event(lasting, `update transitions set confirmed_at = observed_at - interval '1 microsecond'`)},
		{name: "confirmed at another time", want: []audit.Kind{audit.Altered, audit.Bucket}, harm: event(lasting, `update transitions set confirmed_at = confirmed_at + interval '1 microsecond'`)},
		{name: "confirmed, in the encoding of what was not", want: []audit.Kind{audit.Ledger}, harm: event(lasting, `update transitions set encoding = 1`)},
		{name: "not confirmed, in the encoding of what was", want: []audit.Kind{audit.Ledger}, harm: event(lasting, `update transitions set confirmed_at = null`)},
		{name: "a removal of who was unknown already", want: []audit.Kind{audit.Altered, audit.Chain}, harm: func(c *copied) string {
			seq := c.number(`select min(seq) from transitions where user_id = $1 and kind = 'stale'`, left)
			c.sql(`update transitions set kind = 'removed' where seq = $1`, seq)
			return strconv.FormatInt(seq, 10)
		}},
		{name: "seen before the event before", want: []audit.Kind{audit.Altered, audit.Bucket, audit.Chain, audit.State}, harm: event(lasting, `update transitions set after = null, observed_at = observed_at - interval '1 hour'`)},
	}
}
