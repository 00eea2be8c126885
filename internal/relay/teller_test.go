package relay

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"github.com/zim-presence/poller/presence"
)

// desk is a control stream that can be out of order.
type desk struct {
	mu     sync.Mutex
	told   []string
	readys int
	tells  int
	// fault is asked at each call, of what is to be told: lost, and an error.
	fault func(what string) (lost bool, err error)
	// slow is how long each call takes, unless its context ends.
	slow time.Duration
}

func (d *desk) Ready(ctx context.Context) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.readys++
	_, err := d.asked(ctx, "ready")
	return err
}

func (d *desk) Tell(ctx context.Context, c presence.Control) (bool, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.tells++
	lost, err := d.asked(ctx, name(c))
	if err == nil {
		d.told = append(d.told, name(c))
	}
	return lost, err
}

func (d *desk) asked(ctx context.Context, what string) (bool, error) {
	if d.slow > 0 {
		wait(ctx, d.slow)
	}
	if ctx.Err() != nil {
		return false, ctx.Err()
	}
	if d.fault == nil {
		return false, nil
	}
	return d.fault(what)
}

func (d *desk) set(fault func(string) (bool, error)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.fault = fault
}

// has is what was told so far, when nothing moves any more.
func (d *desk) has() string {
	synctest.Wait()
	d.mu.Lock()
	defer d.mu.Unlock()
	return strings.Join(d.told, " ")
}

// name says which message it is: by sort and number.
func name(c presence.Control) string {
	_, n, _ := strings.Cut(c.ID(), "-7f3a90c2-5-")
	switch m := c.(type) {
	case *presence.SweepTold:
		if m.Finished() {
			return "finished" + n
		}
		return "started" + n
	case *presence.LeaseTold:
		return "lease" + n
	}
	return "other" + n
}

func started(m presence.Mark) presence.Control { return &presence.SweepTold{Mark: m, StartedAt: start} }

func finished(m presence.Mark) presence.Control {
	return &presence.SweepTold{Mark: m, StartedAt: start, FinishedAt: start}
}

func lease(m presence.Mark) presence.Control { return &presence.LeaseTold{Mark: m, At: start} }

// teller runs a teller of a desk until the function that is returned is called.
func (d *desk) teller(t *testing.T) (tell *Teller, log *bytes.Buffer, stop func()) {
	t.Helper()
	log = new(bytes.Buffer)
	tell = &Teller{Control: d, Mark: presence.Mark{AppID: app, Log: "7f3a90c2", Epoch: 5}, Log: zerolog.New(zerolog.SyncWriter(log))}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { tell.Run(ctx); close(done) }()
	return tell, log, func() { cancel(); <-done }
}

// The end of a sweep waits until the events are told that it speaks of, and what is
// put behind it waits with it.
func TestFinishedFollowsTheEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &desk{}
		tell, _, stop := d.teller(t)
		defer stop()
		tell.Put(Now, lease)
		tell.Put(Now, started)
		if got, want := d.has(), "lease1 started2"; got != want {
			t.Errorf("told %q, want %q", got, want)
		}
		tell.Stands(40) // before it was put: that is no proof for what comes
		tell.Put(40, finished)
		tell.Put(Now, started)
		tell.Put(45, finished)
		tell.Stands(39)
		if got, want := d.has(), "lease1 started2"; got != want {
			t.Errorf("at 39: told %q, want %q", got, want)
		}
		tell.Stands(44)
		if got, want := d.has(), "lease1 started2 finished3 started4"; got != want {
			t.Errorf("at 44: told %q, want %q", got, want)
		}
		tell.Stands(45)
		tell.Put(0, finished)
		tell.Stands(0)
		if got, want := d.has(), "lease1 started2 finished3 started4 finished5 finished6"; got != want {
			t.Errorf("at 45: told %q, want %q", got, want)
		}
		if d.readys != 1 {
			t.Errorf("the stream was looked at %d times, want once", d.readys)
		}
	})
}

// Trouble is said once, counted each time, and over when something is told; the waits
// double up to half a minute.
func TestTellerTrouble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broken := func(string) (bool, error) { return false, errFault }
		d := &desk{fault: broken}
		tell, log, stop := d.teller(t)
		defer stop()
		var failed []time.Duration
		begin := time.Now()
		tell.Failed = func(error) { failed = append(failed, time.Since(begin)/time.Second) }
		tell.Put(Now, lease)
		time.Sleep(100 * time.Second)
		synctest.Wait()
		if want := []time.Duration{0, 1, 3, 7, 15, 31, 61, 91}; !slices.Equal(failed, want) {
			t.Errorf("tried after %v seconds, want %v", failed, want)
		}
		d.set(nil)
		time.Sleep(lastTellerPause)
		tell.Put(Now, started)
		if got, want := d.has(), "lease1 started2"; got != want {
			t.Errorf("told %q, want %q", got, want)
		}
		d.set(broken)
		tell.Put(Now, started)
		synctest.Wait()
		if warned, over := strings.Count(log.String(), `"warn"`), strings.Count(log.String(), "told again"); warned != 2 || over != 1 {
			t.Errorf("%d warnings and %d ends of trouble, want 2 and 1:\n%s", warned, over, log)
		}
	})
}

// A stream that goes missing is seen to before the next try.
func TestTellerLooksAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &desk{fault: func(what string) (bool, error) {
			if what == "lease1" {
				return false, errFault
			}
			return false, nil
		}}
		tell, _, stop := d.teller(t)
		defer stop()
		tell.Put(Now, lease)
		synctest.Wait()
		d.set(nil)
		time.Sleep(firstTellerPause)
		if got := d.has(); got != "lease1" || d.readys != 2 {
			t.Errorf("told %q, looked at %d times; want lease1, twice", got, d.readys)
		}
	})
}

// What can never be told is given up, and the rest goes on.
func TestTellerUntellable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &desk{fault: func(what string) (bool, error) {
			return what == "started1", map[bool]error{true: errFault}[what == "started1"]
		}}
		tell, log, stop := d.teller(t)
		defer stop()
		failed, gone := 0, 0
		tell.Failed, tell.GivenUp = func(error) { failed++ }, func() { gone++ }
		tell.Put(Now, started)
		tell.Put(Now, lease)
		if got := d.has(); got != "lease2" || failed != 1 || gone != 1 {
			t.Errorf("told %q, %d failed, %d given up; want lease2, 1, 1\n%s", got, failed, gone, log)
		}
	})
}

// Of too many the beginnings of sweeps are given up first, then their ends, the oldest
// first; the numbers show it.
func TestTellerGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &desk{fault: func(string) (bool, error) { return false, errFault }}
		tell, log, stop := d.teller(t)
		defer stop()
		gone := 0
		tell.GivenUp = func() { gone++ }
		const sweeps = 800
		var want []string
		tell.Put(Now, lease)
		for i := range sweeps {
			tell.Put(Now, started)
			tell.Put(int64(i), finished)
		}
		tell.Put(Now, lease)
		want = append(want, "lease1")
		for n := 2; n <= 2*sweeps+1; n++ {
			if begins := n%2 == 0; !begins {
				want = append(want, fmt.Sprint("finished", n))
			} else if n > 2*(2*sweeps+2-mostUntold) {
				want = append(want, fmt.Sprint("started", n))
			}
		}
		want = append(want, fmt.Sprint("lease", 2*sweeps+2))
		tell.Stands(sweeps)
		d.set(nil)
		time.Sleep(firstTellerPause)
		if got := strings.Fields(d.has()); !slices.Equal(got, want) || len(got) != mostUntold {
			t.Errorf("told %d: %v\nwant %v", len(got), got, want)
		}
		if all := 2*sweeps + 2 - mostUntold; gone != all || strings.Count(log.String(), "given up,") != 1 ||
			!strings.Contains(log.String(), fmt.Sprintf(`"given_up":%d`, all)) {
			t.Errorf("%d given up, want %d\n%s", gone, all, log)
		}
	})
}

// When there are no beginnings left, ends go; leases and incidents last.
func TestTellerGivesUpTheRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &desk{}
		tell := &Teller{Control: d, Mark: presence.Mark{AppID: app, Log: "7f3a90c2", Epoch: 5}}
		tell.Put(Now, lease)
		tell.Put(Now, finished)
		for range mostUntold {
			tell.Put(Now, lease)
		}
		tell.End(t.Context())
		got := strings.Fields(d.has())
		if len(got) != mostUntold || got[0] != "lease3" || strings.Contains(d.has(), "finished") {
			t.Errorf("told %d, the first %s", len(got), got[0])
		}
	})
}

// A term that ends tells what may be told, for a second at the most, and gives up
// what waits for events.
func TestTellerEnds(t *testing.T) {
	for _, c := range []struct {
		name string
		desk *desk
		want string
		took time.Duration
	}{
		{"all is well", &desk{}, "finished2 lease4", 0},
		{"NATS is away", &desk{fault: func(string) (bool, error) { return false, errors.New("no connection") }}, "", 0},
		{"NATS is slow", &desk{slow: 400 * time.Millisecond}, "finished2", time.Second},
		{"NATS is silent", &desk{slow: time.Hour}, "", time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tell := &Teller{Control: c.desk, Mark: presence.Mark{AppID: app, Log: "7f3a90c2", Epoch: 5}}
				tell.Put(41, finished)
				tell.Put(40, finished)
				tell.Put(41, finished)
				tell.Put(Now, lease)
				tell.Stands(40)
				began := time.Now()
				tell.End(t.Context())
				if took := time.Since(began); took != c.took {
					t.Errorf("it took %s, want %s", took, c.took)
				}
				if got := c.desk.has(); got != c.want {
					t.Errorf("told %q, want %q", got, c.want)
				}
			})
		})
	}
}

// Who has lost the lease tells nothing more.
func TestTellerEndsWithTheLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &desk{}
		tell := &Teller{Control: d, Mark: presence.Mark{AppID: app, Log: "7f3a90c2", Epoch: 5}}
		tell.Put(0, finished)
		tell.Put(Now, lease)
		tell.Stands(0)
		lost, cancel := context.WithCancel(t.Context())
		cancel()
		tell.End(lost)
		tell.Run(lost)
		if got := d.has(); got != "" || d.tells > 0 {
			t.Errorf("told %q, asked %d times", got, d.tells)
		}
	})
}

// The relay says how far the stream stands in each round that compares it, also in
// one that finds nothing to tell; and says nothing while it cannot.
func TestRelayStands(t *testing.T) {
	w := newWorld()
	w.commit(3)
	r := w.relay()
	var stands []int64
	r.Stands = func(seq int64) { stands = append(stands, seq) }
	drain := func(want ...int64) {
		t.Helper()
		stands = nil
		err := r.Drain(t.Context())
		if !slices.Equal(stands, want) {
			t.Errorf("stands at %v, want %v (%v)", stands, want, err)
		}
	}
	drain(0, 3)
	drain(3)
	w.fault = func(call string) (bool, error) {
		if call == "tail" {
			return false, errFault
		}
		return true, nil
	}
	w.commit(2)
	drain()
	w.fault = func(call string) (bool, error) {
		if call == "append" {
			return false, errFault
		}
		return true, nil
	}
	w.cut = func(int) (int, int) { return 2, 1 }
	drain(3, 4) // what was not acked does not count
	w.fault = func(string) (bool, error) { return true, nil }
	w.intrude()
	drain() // halted: somebody else writes to the stream
}
