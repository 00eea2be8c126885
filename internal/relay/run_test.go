package relay

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"github.com/zim-presence/poller/presence"
)

// run runs a relay until the function that is returned is called.
func run(t *testing.T, r *Relay) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { r.Run(ctx); close(done) }()
	return func() { cancel(); <-done }
}

func TestWokenAtOnceOrByTheClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		r := w.relay()
		woken := make(chan struct{}, 1)
		r.Woken = woken
		defer run(t, r)()
		synctest.Wait()
		at := time.Now()
		w.commit(3)
		woken <- struct{}{}
		synctest.Wait()
		if got, waited := w.held(), time.Since(at); !slices.Equal(got, upTo(1, 3)) || waited != 0 {
			t.Errorf("woken: the stream has %v after %s, want 3 events at once", got, waited)
		}
		w.commit(2) // nobody is woken
		synctest.Wait()
		if got := w.held(); !slices.Equal(got, upTo(1, 3)) {
			t.Errorf("not woken: the stream has %v, want it as before", got)
		}
		time.Sleep(clock)
		synctest.Wait()
		if got := w.held(); !slices.Equal(got, upTo(1, 5)) {
			t.Errorf("by the clock: the stream has %v, want 5 events", got)
		}
	})
}

// Behind and Health follow what happens, and the waits between tries double.
func TestOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.commit(4)
		w.cursor = presence.Cursor{Seq: 1, StreamSeq: 1, StreamCreated: start}
		w.messages, w.began = []message{{event: event(1)}}, 1
		w.fault = func(call string) (bool, error) {
			if call == "ensure" {
				return false, errFault
			}
			return true, nil
		}
		type lag struct {
			events int64
			oldest time.Time
		}
		var tries []time.Duration
		var lags []lag
		var health []error
		began := time.Now()
		r := w.relay()
		r.Health = func(err error) { health = append(health, err); tries = append(tries, time.Since(began)) }
		r.Behind = func(events int64, oldest time.Time) { lags = append(lags, lag{events, oldest}) }
		stop := run(t, r)
		defer stop()
		time.Sleep(17 * time.Second)
		synctest.Wait()
		var want []time.Duration
		for _, ms := range []int{0, 100, 300, 700, 1500, 3100, 6300, 11300, 16300} {
			want = append(want, time.Duration(ms)*time.Millisecond)
		}
		if !slices.Equal(tries, want) {
			t.Errorf("tried at %v, want %v", tries, want)
		}
		if last := lags[len(lags)-1]; last != (lag{3, event(2).ObservedAt}) {
			t.Errorf("before the first round: behind %v, want 3 events since the second", last)
		}
		w.mu.Lock()
		w.fault = func(string) (bool, error) { return true, nil }
		w.mu.Unlock()
		time.Sleep(lastPause)
		stop()
		if last := lags[len(lags)-1]; last != (lag{}) || health[len(health)-1] != nil || w.told() != 4 {
			t.Errorf("after it: behind %v, health %v, told %d; want nothing, nil, 4", last, health[len(health)-1], w.told())
		}
	})
}

// A lost ack is no loss, and Told hears of what was acked alone.
func TestLostAcks(t *testing.T) {
	w := newWorld()
	w.commit(10)
	w.cut = func(int) (int, int) { return 7, 4 }
	w.fault = func(call string) (bool, error) {
		if call == "append" {
			return false, errFault
		}
		return true, nil
	}
	r := w.relay()
	var told []int64
	var behind int64
	r.Told = func(e *presence.Event, more int64) {
		told = append(told, e.Seq)
		if more != 10-e.Seq {
			t.Errorf("event %d of 10 is told with %d more to come", e.Seq, more)
		}
	}
	r.Behind = func(events int64, _ time.Time) { behind = events }
	if err := r.Drain(t.Context()); err == nil || behind != 6 || w.cursor.Seq != 4 {
		t.Errorf("Drain() = %v, behind %d, cursor %d; want an error, 6, 4", err, behind, w.cursor.Seq)
	}
	w.fault = func(string) (bool, error) { return true, nil }
	mustDrain(t, r)
	if want := append(upTo(1, 4), upTo(8, 10)...); !slices.Equal(told, want) || !slices.Equal(w.held(), upTo(1, 10)) || behind != 0 {
		t.Errorf("told %v and stored %v, behind %d; want %v and all, 0", told, w.held(), behind, want)
	}
}

// Acks that were lost are accounted for when the end has been read.
func TestLostAcksAndAForeignMessage(t *testing.T) {
	w := newWorld()
	w.commit(10)
	w.cut = func(n int) (int, int) { return n, 4 }
	w.fault = func(call string) (bool, error) {
		if call == "append" {
			return false, errFault
		}
		return true, nil
	}
	r := w.relay()
	if err := r.Drain(t.Context()); err == nil {
		t.Fatal("nothing was lost")
	}
	mustDrain(t, r) // there is nothing to append
	w.fault = func(string) (bool, error) { return true, nil }
	w.intrude()
	w.deleteLast()
	w.commit(3)
	mustDrain(t, r)
	if w.told() != 13 || w.broken != nil {
		t.Errorf("told up to %d, want 13; %v", w.told(), w.broken)
	}
}

// A foreign message keeps out what was sent, is seen, and goes with all the rest:
// what it kept out is not taken for told.
func TestForeignMessageGoesWithAllTheRest(t *testing.T) {
	w, r := drained(t, 10)
	w.commit(3)
	w.fault = func(call string) (bool, error) {
		if call == "append" {
			return false, errFault // nothing is stored, nothing is heard
		}
		return true, nil
	}
	if err := r.Drain(t.Context()); !errors.Is(err, errFault) {
		t.Fatalf("Drain() = %v, want %v", err, errFault)
	}
	w.intrude()
	if err := r.Drain(t.Context()); !errors.Is(err, errForeign) {
		t.Fatalf("Drain() = %v, want %v", err, errForeign)
	}
	w.expireAll()
	w.fault = func(string) (bool, error) { return true, nil }
	mustDrain(t, r)
	if got := w.held(); !slices.Equal(got, upTo(11, 13)) {
		t.Errorf("the stream has %v, want what was kept out, 11 to 13", got)
	}
}

// What is told in one go is told in pages.
func TestPages(t *testing.T) {
	w, _ := drained(t, 2*page+1)
	if got := w.held(); !slices.Equal(got, upTo(1, 2*page+1)) || w.broken != nil {
		t.Errorf("%d events are stored, want %d; %v", len(got), 2*page+1, w.broken)
	}
}

// However often it tells, there is a line a second and a save a second; what is
// left is said at the end.
func TestOneLineASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		var lines bytes.Buffer
		woken := make(chan struct{}, 1)
		r := w.relay()
		r.Woken, r.Log = woken, zerolog.New(&lines)
		stop := run(t, r)
		for range 1000 {
			w.commit(1)
			woken <- struct{}{}
			time.Sleep(5 * time.Millisecond)
		}
		stop()
		if n := strings.Count(lines.String(), `"message":"drained"`); n < 5 || n > 7 {
			t.Errorf("%d lines in 5 s, want about 5 and one at the end:\n%s", n, lines.String())
		}
		if !strings.Contains(lines.String(), `"seq":1000`) || strings.Contains(lines.String(), `"warn"`) {
			t.Errorf("the last line does not tell the last event:\n%s", lines.String())
		}
		if w.saves < 5 || w.saves > 8 || len(w.held()) != 1000 {
			t.Errorf("%d saves, %d events; want about 6 and 1000", w.saves, len(w.held()))
		}
	})
}

// A cursor that cannot be saved holds up nothing once the stream is remembered.
func TestSavesThatFail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, r := drained(t, 1)
		w.fault = func(call string) (bool, error) {
			if call == "save" {
				return false, errFault
			}
			return true, nil
		}
		var lines bytes.Buffer
		woken := make(chan struct{}, 1)
		r.Woken, r.Log = woken, zerolog.New(&lines)
		stop := run(t, r)
		for range 500 {
			w.commit(1)
			woken <- struct{}{}
			time.Sleep(5 * time.Millisecond)
		}
		stop()
		if n := strings.Count(lines.String(), "was not saved"); n < 2 || n > 3 || len(w.held()) != 501 {
			t.Errorf("%d complaints in 2.5 s and %d events told, want 2 or 3 and 501:\n%s", n, len(w.held()), lines.String())
		}
	})
}

// What stands is compared again now and then, and a difference is logged once.
func TestComparedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.warnings = []string{"replicas are 1, not 3"}
		var lines bytes.Buffer
		r := w.relay()
		r.Log = zerolog.New(&lines)
		stop := run(t, r)
		time.Sleep(time.Minute + clock/2)
		stop()
		if w.ensures != 13 || strings.Count(lines.String(), w.warnings[0]) != 1 {
			t.Errorf("compared %d times in a minute, want 13, and one line:\n%s", w.ensures, lines.String())
		}
	})
}

// When ctx ends nothing more is asked or said, and what was told is remembered.
func TestStop(t *testing.T) {
	w := newWorld()
	w.commit(10)
	ctx, cancel := context.WithCancel(t.Context())
	r := w.relay()
	r.Told = func(e *presence.Event, _ int64) {
		if e.Seq == 10 {
			cancel()
		}
	}
	r.Health = func(err error) { t.Errorf("health %v after the end", err) }
	r.Run(ctx)
	if w.cursor.Seq != 10 {
		t.Errorf("event %d is remembered, want 10", w.cursor.Seq)
	}
}
