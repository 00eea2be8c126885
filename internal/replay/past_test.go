package replay_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/zim-presence/poller/internal/ledger"
	"github.com/zim-presence/poller/internal/replay"
	"github.com/zim-presence/poller/internal/stream"
	"github.com/zim-presence/poller/presence"
)

// A replay that begins with the state goes on in the middle of it too.
func TestTheStateAtTheBeginning(t *testing.T) {
	h := newHouse(t, 400, 100)
	// The sets are not what the events say, to see that the snapshot is what counts. User 3 has been erased since.
	h.snapshot(1, 50, []uint32{1, 3}, []uint32{2}, nil)
	h.snapshot(2, 250, []uint32{7}, nil, nil)
	h.execute(`delete from user_states where user_no = 3`)
	for _, c := range []choice{
		{name: "state", first: 55, last: 60, state: true},
		{name: "one", first: 55, last: 60, state: true, Choice: ledger.Choice{Users: []int32{2, 52, 57}}},
		{name: "nosnapshot", first: 4, last: 5, state: true},
		{name: "beginning", first: 1, last: 5, state: true},
	} {
		want := h.states(c)
		states := int64(len(want))
		for _, m := range h.wanted(c) {
			m.Position += states
			want = append(want, m)
		}
		h.cutUp(c, 1)
		h.stored(c.name, want)
	}
}

// states returns the state that a replay has to begin with.
func (h *house) states(c choice) (all []presence.Retold) {
	h.t.Helper()
	state := map[uint32]presence.Status{}
	from := int64(0)
	if c.first > 50 {
		state, from = map[uint32]presence.Status{1: presence.Online, 2: presence.Offline, 3: presence.Online}, 50
	}
	for seq := from + 1; seq < c.first; seq++ {
		state[uint32(seq)] = presence.Online // the first hundred are baselines
	}
	for no := uint32(1); no <= 100; no++ {
		if no == 3 || state[no] == presence.Unknown || !chosen(ledger.Choice{Users: c.Users}, &presence.Event{Transition: presence.Transition{User: presence.User{No: no}}}) {
			continue
		}
		s := presence.Standing{AppID: app, Log: log, User: presence.User{No: no, ID: name(no)}, Status: state[no], Seq: c.first - 1, At: monday}
		m, err := s.Again(c.name, int64(len(all)+1))
		h.must(err)
		all = append(all, m)
	}
	return all
}

// Net changes say no more than what two snapshots say, and an interval that holds.
func TestNetChanges(t *testing.T) {
	h := newHouse(t, 100, 10)
	h.snapshot(10, 1, []uint32{1, 2}, []uint32{3, 4}, nil)
	h.snapshot(20, 2, []uint32{1, 2}, []uint32{3, 4}, []uint32{2, 3})       // nothing has changed; two were missed
	h.snapshot(30, 3, []uint32{1, 3, 5}, []uint32{2, 9}, nil)               // 2, 3 seen last in 10; 4 removed, 5 and 9 new
	h.snapshot(40, 4, []uint32{1, 3, 5}, []uint32{2, 9}, nil)               // nothing
	h.snapshot(50, 5, []uint32{1, 2, 3}, []uint32{5, 9}, []uint32{1, 2, 9}) // 2 and 5 changed
	h.execute(`delete from user_states where user_no = 9`)
	between := func(no uint32, from, to presence.Status, seen, a, b int64) presence.NetChange {
		kind, _ := presence.KindOf(from, to)
		n := presence.NetChange{
			AppID: app, Log: log, User: presence.User{No: no, ID: name(no)}, Kind: kind, From: from, To: to,
			ObservedAt: monday.Add(time.Duration(b)*time.Hour + 5*time.Minute), Sweeps: [2]int64{a, b},
		}
		if seen > 0 {
			n.After = monday.Add(time.Duration(seen) * time.Hour)
		}
		return n
	}
	on, off, un := presence.Online, presence.Offline, presence.Unknown
	all := []presence.NetChange{
		between(2, on, off, 10, 20, 30), between(3, off, on, 10, 20, 30), between(4, off, un, 20, 20, 30), between(5, un, on, 0, 20, 30),
		between(2, off, on, 40, 40, 50), between(5, on, off, 40, 40, 50),
	}
	for _, c := range []struct {
		choice
		want []int // of all
	}{
		{choice{name: "all", sweeps: [2]int64{10, 50}}, []int{0, 1, 2, 3, 4, 5}},
		{choice{name: "end", sweeps: [2]int64{30, 50}}, []int{4, 5}},
		{choice{name: "online", sweeps: [2]int64{10, 50}, Choice: ledger.Choice{Kinds: []presence.Kind{presence.KindOnline}}}, []int{1, 4}},
	} {
		var want []presence.Retold
		for i, n := range c.want {
			m, err := all[n].Again(c.name, int64(i+1))
			h.must(err)
			want = append(want, m)
		}
		c.first, c.last = 2, 5
		if h.cutUp(c.choice, 1); c.name == "all" {
			h.run(h.startAs(c.choice, "whole"))
		}
		h.stored(c.name, want)
	}
	// A snapshot that is gone is an error.
	h.execute(`delete from snapshots where sweep = 50`)
	if _, err := h.start(choice{name: "gone", first: 2, last: 5, sweeps: [2]int64{10, 50}}).Run(t.Context()); err == nil || !strings.Contains(err.Error(), "sweep 50") {
		t.Errorf("without the last snapshot: %v", err)
	}
}

// startAs is start under another name.
func (h *house) startAs(c choice, name string) *replay.Replay {
	c.name = name
	return h.start(c)
}

func name(no uint32) string { return fmt.Sprintf("u.%d", no) }

// Net changes that were told and have expired are counted; where a snapshot in the
// middle was dropped meanwhile, they would be others.
func TestNetChangesThatHaveExpired(t *testing.T) {
	for name, thinned := range map[string]bool{"whole": false, "thinned": true} {
		h := newHouse(t, 100, 10)
		h.snapshot(10, 1, []uint32{1, 2, 3, 4}, nil, nil)
		h.snapshot(20, 2, []uint32{3, 4}, []uint32{1, 2}, nil)
		h.snapshot(30, 3, []uint32{1, 2, 3, 4}, nil, nil)
		h.snapshot(40, 4, []uint32{1, 2}, []uint32{3, 4}, nil)
		c := choice{name: name, first: 2, last: 4, sweeps: [2]int64{10, 40}}
		r := h.start(c)
		r.Teller = &limiter{Teller: r.Teller, left: 2} // 1 and 2 went offline
		if _, err := r.Run(t.Context()); !errors.Is(err, errEnough) {
			t.Fatal(err)
		}
		s, err := h.js.Stream(t.Context(), stream.ReplayStreamName(app, name))
		h.must(err)
		h.must(s.Purge(t.Context()))
		if thinned {
			h.execute(`delete from snapshots where sweep in (20, 30)`)
			if report, err := h.start(c).Run(t.Context()); !errors.Is(err, replay.ErrCannotCount) {
				t.Errorf("told %d, %v; want %v", report.Told, err, replay.ErrCannotCount)
			}
		} else if report := h.run(h.start(c)); report.Told != 6 || report.Now != 4 {
			t.Errorf("told %d and %d now, want 6 and 4", report.Told, report.Now)
		}
	}
}

// What is missing in the ledger is an error, which names it, also when retention
// drops it under the replay.
func TestHoles(t *testing.T) {
	h := newHouse(t, 12_000, 10)
	all, kinds := choice{first: 1, last: 12_000}, choice{first: 1, last: 12_000, Choice: ledger.Choice{Kinds: []presence.Kind{presence.KindOnline}}}
	run := func(c choice, name string) error {
		_, err := h.startAs(c, name).Run(t.Context())
		return err
	}
	h.execute(`delete from transitions where seq in (7000, 7001)`)
	var hole *ledger.HoleError
	for name, c := range map[string]choice{"hole": all, "hole-of-some": kinds} {
		if err := run(c, name); !errors.As(err, &hole) || *hole != (ledger.HoleError{First: 7000, Last: 7001}) {
			t.Errorf("%s: %v, want events 7000 to 7001", name, err)
		}
	}
	h.execute(`delete from transitions where seq > 11990`)
	if err := run(choice{first: 11_000, last: 12_000}, "tail"); !errors.As(err, &hole) || hole.First != 11_991 {
		t.Errorf("a tail that is gone: %v, want the events from 11991 on", err)
	}
	h.execute(`update apps set pruned_seq = 8000`)
	h.execute(`delete from transitions where seq <= 8000`)
	var pruned *ledger.PrunedError
	for name, c := range map[string]choice{"pruned": all, "pruned-of-some": kinds} {
		if err := run(c, name); !errors.As(err, &pruned) || pruned.First != 8001 {
			t.Errorf("%s: %v, want that 8001 is the first that is left", name, err)
		}
	}
}

// The end of the stream may have been erased, or have expired, or be of somebody
// else.
func TestWhatHasBecomeOfTheStream(t *testing.T) {
	h := newHouse(t, 9000, 10)
	partly := func(c choice, n int64) (told int64) {
		r := h.start(c)
		r.Teller = &limiter{Teller: r.Teller, left: int(n)}
		report, err := r.Run(t.Context())
		if !errors.Is(err, errEnough) {
			t.Fatal(err)
		}
		return report.Told
	}
	js := func(name string) jetstream.Stream {
		s, err := h.js.Stream(t.Context(), stream.ReplayStreamName(app, name))
		h.must(err)
		return s
	}
	t.Run("its last messages are erased", func(t *testing.T) {
		c := choice{name: "erased", first: 1, last: 9000}
		told := partly(c, 100)
		for seq := told - 4; seq <= told; seq++ {
			h.must(js(c.name).SecureDeleteMsg(t.Context(), uint64(seq)))
		}
		h.execute(`update transitions set kind = 'erased', user_no = 0, user_id = '', from_status = 'unknown', to_status = 'unknown', detail = '', after = null, prev_seq = 0 where seq between $1 and $2`, told-4, told)
		report := h.run(h.start(c))
		if report.Told != 9000 || report.Erased != 5 {
			t.Errorf("told %d, passed over %d; want 9000 and 5", report.Told, report.Erased)
		}
		h.execute(`delete from replays`)
	})
	for _, c := range []choice{
		{name: "expired", first: 10, last: 9000}, {name: "expired-of-some", first: 10, last: 9000, Choice: ledger.Choice{Kinds: []presence.Kind{presence.KindOffline}}},
	} {
		for noted, note := range map[string]string{"noted": `select 1`, "not-noted": `update replays set told = 0, told_seq = 9 where name = $1`} {
			t.Run(c.name+" and "+noted, func(t *testing.T) {
				it := c
				it.name += "-" + noted
				told := partly(it, 100)
				h.must(js(it.name).Purge(t.Context()))
				if strings.Contains(note, "$1") {
					h.execute(note, it.name)
				}
				want := h.wanted(it)
				report := h.run(h.start(it))
				if report.Told != int64(len(want)) || report.Now != report.Told-told {
					t.Errorf("told %d and %d of them now, want %d and %d", report.Told, report.Now, len(want), int64(len(want))-told)
				}
				for _, m := range []*presence.Retold{&want[told], &want[len(want)-1]} {
					msg, err := js(it.name).GetMsg(t.Context(), uint64(m.Position))
					h.must(err)
					h.same(m, msg.Subject, msg.Header, msg.Data)
				}
			})
		}
	}
	t.Run("expired, and somebody was erased", func(t *testing.T) {
		c := choice{name: "lost", first: 1, last: 9000}
		partly(c, 100)
		h.must(js(c.name).Purge(t.Context()))
		h.execute(`update replays set told = told - 1, told_seq = told_seq - 1 where name = 'lost'`)
		h.execute(`insert into erasures (app_id, user_no, events) values ($1, 77, 1)`, app)
		if _, err := h.start(c).Run(t.Context()); !errors.Is(err, replay.ErrCannotCount) {
			t.Errorf("%v, want %v", err, replay.ErrCannotCount)
		}
	})
	t.Run("a foreign message", func(t *testing.T) {
		c := choice{name: "foreign", first: 1, last: 9000}
		partly(c, 100)
		_, err := h.js.Publish(t.Context(), presence.ReplaySubject("foreign", app, "online", "mallory"), []byte("{}"))
		h.must(err)
		if _, err := h.start(c).Run(t.Context()); err == nil || !strings.Contains(err.Error(), "mallory") || !strings.Contains(err.Error(), "poller replay drop foreign") {
			t.Errorf("%v, want that it names the message and the mend", err)
		}
	})
	t.Run("it stands already", func(t *testing.T) {
		c := choice{name: "stands", first: 1, last: 9000}
		partly(c, 100)
		h.execute(`delete from replays where name = 'stands'`)
		for range 2 { // the first may have been killed before it looked
			if _, err := h.start(c).Run(t.Context()); !errors.Is(err, stream.ErrStands) {
				t.Errorf("%v, want %v", err, stream.ErrStands)
			}
		}
	})
}

// Who is erased while a slow replay has the events in hand is not told any more a
// second later.
func TestErasedUnderASlowReplay(t *testing.T) {
	h := newHouse(t, 6000, 10)
	c := choice{name: "slow", first: 1, last: 6000}
	const rate, erased, soon = 1000, 100, 100 + 2*1000
	r := h.start(c)
	r.Rate = rate
	r.Teller = &limiter{Teller: &cutter{Teller: r.Teller, left: erased, cut: func() {
		h.execute(`
			with gone as (
			    update transitions set kind = 'erased', user_no = 0, user_id = '', from_status = 'unknown', to_status = 'unknown', detail = '', after = null, prev_seq = 0 where user_no = 7
			)
			insert into erasures (app_id, user_no, events) values ($1, 7, 600)`, app)
	}}, left: soon + 1000}
	if _, err := r.Run(t.Context()); !errors.Is(err, errEnough) {
		t.Fatal(err)
	}
	s, err := h.js.Stream(t.Context(), stream.ReplayStreamName(app, c.name))
	h.must(err)
	for seq := uint64(soon); seq <= soon+1000; seq += 11 {
		msg, err := s.GetMsg(t.Context(), seq)
		h.must(err)
		if e, err := presence.ParseEvent(msg.Data); err != nil || e.User.ID == "u.7" || e.Seq <= int64(seq) {
			t.Fatalf("message %d is event %d of %s, %v", seq, e.Seq, e.User.ID, err)
		}
	}
}

// limiter tells no more than so many messages.
type limiter struct {
	replay.Teller
	left int
}

var errEnough = errors.New("enough")

func (l *limiter) Tell(ctx context.Context, messages []presence.Retold, told func(int)) (int, error) {
	n, err := l.Teller.Tell(ctx, messages[:min(l.left, len(messages))], told)
	if l.left -= n; err == nil && l.left == 0 {
		err = errEnough
	}
	return n, err
}
