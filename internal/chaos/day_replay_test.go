package chaos

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/zim-presence/poller/presence"
)

// replays has the day told again to consumers who have nothing, and holds what
// they end with against what a consumer has who listened all day, and against the
// table presence.
func (d *day) replays(t *testing.T, live map[string]presence.Status) {
	live = watchedOnly(live)
	if diff := cmp.Diff(d.table(t), live); diff != "" {
		t.Errorf("who listened all day does not have what the table says (-table +live):\n%s", diff)
	}
	t.Run("from the beginning", func(t *testing.T) {
		r := d.replay(t, "whole")
		if diff := cmp.Diff(live, watchedOnly(r.state)); diff != "" {
			t.Errorf("(-live +replayed):\n%s", diff)
		}
		if n := d.count(`select last_seq from apps where app_id = 1`); r.first != 1 || r.last != n {
			t.Errorf("events %d to %d were told again, want 1 to %d", r.first, r.last, n)
		}
	})
	noon := d.first.Add(d.end.Sub(d.first) / 2).UTC().Format(time.RFC3339Nano)
	t.Run("from noon, with the state", func(t *testing.T) {
		r := d.replay(t, "noon-state", "--from", noon, "--with-state")
		if diff := cmp.Diff(live, watchedOnly(r.state)); diff != "" {
			t.Errorf("(-live +replayed):\n%s", diff)
		}
		if r.standing == 0 {
			t.Error("no state was told at the beginning")
		}
	})
	t.Run("from noon", func(t *testing.T) {
		r := d.replay(t, "noon", "--from", noon)
		// Who has had no event since noon is not in it; the others are as they are.
		for user, status := range r.state {
			if status != live[user] {
				t.Errorf("%s is %s, want %s", user, status, live[user])
			}
		}
		if r.standing != 0 || r.first < 2 || len(r.state) == 0 {
			t.Errorf("%d states were told, and %d users from event %d on", r.standing, len(r.state), r.first)
		}
	})
}

// retold is a consumer of a replay.
type retold struct {
	state       map[string]presence.Status
	standing    int   // users whose state was told at the beginning
	first, last int64 // events
}

// replay runs the command, and reads what it has told.
func (d *day) replay(t *testing.T, name string, args ...string) *retold {
	t.Helper()
	if out, code := d.poller(append([]string{"replay", "--name", name}, args...)...); code != 0 {
		t.Fatalf("code %d: %s", code, out)
	}
	stream, err := d.js.Stream(t.Context(), "PRESENCE_REPLAY_1_"+name)
	if err != nil {
		t.Fatal(err)
	}
	info, err := stream.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	consumer, err := stream.OrderedConsumer(t.Context(), jetstream.OrderedConsumerConfig{})
	if err != nil {
		t.Fatal(err)
	}
	messages, err := consumer.Messages()
	if err != nil {
		t.Fatal(err)
	}
	defer messages.Stop()
	r := &retold{state: map[string]presence.Status{}}
	for n := range info.State.Msgs {
		m, err := messages.Next(jetstream.NextMaxWait(patience))
		if err != nil {
			t.Fatal(err)
		}
		if got, position, ok := presence.ReplayOf(m.Headers().Get); !ok || got != name || position != int64(n)+1 {
			t.Fatalf("message %d is message %d of replay %q", n+1, position, got)
		}
		r.hear(t, m.Data())
	}
	return r
}

// hear takes a message. The events are one after the other, none is missing.
func (r *retold) hear(t *testing.T, data []byte) {
	t.Helper()
	if s, err := presence.ParseStanding(data); err == nil {
		if r.first != 0 || r.state[s.User.ID] != presence.Unknown {
			t.Errorf("the state of %s is told behind an event, or twice", s.User.ID)
		}
		r.state[s.User.ID] = s.Status
		r.standing++
		return
	}
	e, err := presence.ParseEvent(data)
	if err != nil {
		t.Fatal(err)
	}
	if r.first == 0 {
		r.first, r.last = e.Seq, e.Seq-1
	}
	if e.Seq != r.last+1 {
		t.Errorf("event %d is told behind event %d", e.Seq, r.last)
	}
	r.state[e.User.ID], r.last = e.To, e.Seq
}

// table is everybody who is online or offline as SQL tells it.
func (d *day) table(t *testing.T) map[string]presence.Status {
	t.Helper()
	rows, err := d.pool.Query(t.Context(), `select user_id, status from presence where app_id = 1 and status <> 'unknown'`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	state := map[string]presence.Status{}
	for rows.Next() {
		var user, word string
		if err := rows.Scan(&user, &word); err != nil {
			t.Fatal(err)
		}
		if state[user], err = presence.ParseStatus(word); err != nil {
			t.Fatal(err)
		}
	}
	return state
}

// watchedOnly leaves out who is unknown.
func watchedOnly(state map[string]presence.Status) map[string]presence.Status {
	known := map[string]presence.Status{}
	for user, status := range state {
		if status != presence.Unknown {
			known[user] = status
		}
	}
	return known
}

// verify asks the command whether all that is kept agrees.
func (d *day) verify(t *testing.T) {
	if out, code := d.poller("verify"); code != 0 {
		t.Errorf("code %d:\n%s", code, out)
	}
}
