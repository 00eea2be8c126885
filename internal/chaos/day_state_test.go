package chaos

import (
	"context"
	"encoding/csv"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rs/zerolog"

	"github.com/zim-presence/poller/internal/audit"
	"github.com/zim-presence/poller/internal/ledger"
	"github.com/zim-presence/poller/internal/past"
	"github.com/zim-presence/poller/presence"
)

const (
	stateTimes    = 1000 // at which the state is put together here, from the same parts as the command does
	stateCommands = 40   // at which the command itself is asked
)

// states is who was online at random times, held against what was true then; what
// is right is said at [lives.since]. Events behind the snapshot are always of the
// window in which the truth leaves the answer open: so the state is also held against
// all events that had been observed by then, put together without a snapshot; and
// each event against the truth, in [day.happened].
func (d *day) states(t *testing.T) {
	book := ledger.New(d.pool, 1, zerolog.Nop())
	var verdicts tally
	for _, at := range d.moments(stateTimes) {
		var told *past.State
		err := book.View(t.Context(), func(p *ledger.Past) (err error) {
			told, err = stateAt(t.Context(), p, at)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		d.hold(t, &verdicts, maps.Collect(told.Users()), at)
	}
	verdicts.sum(t)
}

// stateAt puts the state together as poller state does.
func stateAt(ctx context.Context, p *ledger.Past, at time.Time) (*past.State, error) {
	base, found, err := p.SnapshotAt(ctx, at)
	if err != nil {
		return nil, err
	}
	next, _, err := p.SnapshotBehind(ctx, base.Sweep)
	if err != nil {
		return nil, err
	}
	state := past.New()
	if found {
		if state, err = past.Restore(&base); err != nil {
			return nil, err
		}
	}
	return state, p.Events(ctx, presence.Cursor{Seq: base.Seq}, next.Seq, func(events []presence.Event) error {
		for i := range events {
			if !events[i].ObservedAt.After(at) {
				state.Apply(&events[i].Transition)
			}
		}
		return nil
	})
}

// stateCommand asks the command itself.
func (d *day) stateCommand(t *testing.T) {
	var verdicts tally
	for _, at := range d.moments(stateCommands) {
		out, code := d.poller("state", "--at", at.UTC().Format(time.RFC3339Nano))
		if code != 0 && at.Before(d.lives.sweeps[0].finished) {
			continue // nothing may have been recorded yet: that is refused
		}
		if code != 0 {
			t.Fatalf("poller state at %s: code %d", at.Format(time.RFC3339Nano), code)
		}
		rows, err := csv.NewReader(strings.NewReader(out)).ReadAll()
		if err != nil {
			t.Fatal(err)
		}
		told := map[uint32]presence.Status{}
		for _, row := range rows[1:] {
			user := d.lives.users[row[0]]
			if user == nil {
				t.Fatalf("%s is told, and never was", row[0])
			}
			if told[user.number], err = presence.ParseStatus(row[1]); err != nil {
				t.Fatal(err)
			}
		}
		d.hold(t, &verdicts, told, at)
	}
	verdicts.sum(t)
}

// hold holds a state against the events and against the truth.
func (d *day) hold(t *testing.T, verdicts *tally, told map[uint32]presence.Status, at time.Time) {
	t.Helper()
	want := map[uint32]presence.Status{}
	for i := range d.events {
		if e := &d.events[i]; !e.ObservedAt.After(at) {
			want[e.User.No] = e.To
		}
	}
	maps.DeleteFunc(want, func(_ uint32, s presence.Status) bool { return s == presence.Unknown })
	if !maps.Equal(told, want) {
		if verdicts.wrong++; verdicts.wrong > 3 {
			return
		}
		t.Errorf("at %s the state is not what the events say that had been observed (-events +told):\n%.500s",
			at.Format(time.RFC3339Nano), cmp.Diff(want, told))
	}
	verdicts.judge(t, d.lives, told, at)
}

// happened holds each event, and the end of the day, against the truth.
func (d *day) happened(t *testing.T) {
	report, err := audit.Audit{
		DB: d.pool, JS: d.js, App: 1, Patience: patience, Slack: d.lives.slack,
		Changes: func(user string) (all []audit.Change) {
			for _, turn := range d.lives.users[user].status.turns {
				all = append(all, audit.Change{At: turn.from, To: turn.value})
			}
			return all
		},
	}.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range report.Findings[:min(10, len(report.Findings))] {
		t.Error(f)
	}
}

// tally counts what came of judging states.
type tally struct{ times, judged, decided, wrong int }

// judge holds the state of everybody, by number, at a time against the truth. Who
// is not told is told as unknown.
func (n *tally) judge(t *testing.T, truth *lives, told map[uint32]presence.Status, at time.Time) {
	n.times++
	for name, user := range truth.users {
		status := told[user.number] // who has no number is not told
		right, alone := truth.judge(user, status, at)
		n.judged++
		if alone {
			n.decided++
		}
		if !right {
			if n.wrong++; n.wrong <= 10 {
				t.Errorf("%s is told as %s at %s, which was never true from %s on", name, status, at.Format(time.RFC3339Nano),
					truth.since(user, at).Format(time.RFC3339Nano))
			}
		}
		delete(told, user.number)
	}
	if len(told) > 0 {
		t.Errorf("at %s users are told who never were: %v", at.Format(time.RFC3339Nano), told)
	}
}

// sum says what came of it. It would be no proof if nearly every answer were right.
func (n *tally) sum(t *testing.T) {
	t.Logf("%d times, %d states, %d wrong; of %d (%.1f %%) one answer alone was right", n.times, n.judged, n.wrong, n.decided,
		100*float64(n.decided)/float64(max(1, n.judged)))
	if n.times == 0 || n.decided*3 < n.judged {
		t.Errorf("%d times, %d states, of %d one answer alone was right: too few", n.times, n.judged, n.decided)
	}
}
