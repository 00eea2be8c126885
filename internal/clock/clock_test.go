package clock

import (
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// machine is a machine's two clocks.
type machine struct {
	mu   sync.Mutex
	wall time.Time
	mono time.Duration
}

func (m *machine) read() (time.Time, time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.wall, m.mono
}

// pass lets time go by; asleep, the clock that nobody sets stands still. Then the
// other is set by so much.
func (m *machine) pass(d, asleep, set time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.wall = m.wall.Add(d + asleep + set)
	m.mono += d
}

func seconds(n int) time.Duration { return time.Duration(n) * time.Second }

func TestNow(t *testing.T) {
	type step struct{ goes, asleep, set, want int } // seconds; want is since the start
	for name, steps := range map[string][]step{
		"nothing happens": {{goes: 1, want: 1}, {goes: 0, want: 1}, {goes: 5, want: 6}},
		"set forward":     {{goes: 10, set: 100, want: 110}, {goes: 1, want: 111}},
		"asleep":          {{goes: 10, asleep: 1000, want: 1010}, {goes: 1, want: 1011}},
		"set back": {
			{goes: 100, want: 100}, {set: -10, want: 100}, {goes: 10, want: 105}, {goes: 8, want: 109}, {goes: 2, want: 110},
			{goes: 10, want: 120}, {goes: 1, want: 121},
		},
		"set back, and nobody asks meanwhile": {{goes: 100, want: 100}, {set: -10, want: 100}, {goes: 1000, want: 1090}},
		"set back twice": {
			{goes: 100, want: 100}, {set: -10, want: 100}, {goes: 10, want: 105}, {set: -10, want: 105}, {goes: 10, want: 110},
			{goes: 20, want: 120}, {goes: 10, want: 130},
		},
		"set back and forth":  {{goes: 100, want: 100}, {set: -50, want: 100}, {goes: 10, want: 105}, {set: 50, want: 110}, {goes: 1, want: 111}},
		"asleep while behind": {{goes: 100, want: 100}, {set: -50, want: 100}, {asleep: 40, want: 100}, {asleep: 20, want: 110}},
		"slewed":              {{goes: 100, want: 100}, {goes: 10, set: -1, want: 109}, {goes: 10, set: -4, want: 115}, {goes: 10, set: -6, want: 120}},
	} {
		t.Run(name, func(t *testing.T) {
			start := time.Date(2026, 11, 23, 10, 0, 0, 0, time.FixedZone("", 3600))
			m := &machine{wall: start}
			c := New(m.read)
			if got := c.Now(); !got.Equal(start) || got.Location() != time.UTC {
				t.Fatalf("Now() = %s, want %s", got, start.UTC())
			}
			for i, s := range steps {
				m.pass(seconds(s.goes), seconds(s.asleep), seconds(s.set))
				if got := c.Now().Sub(start); got != seconds(s.want) {
					t.Fatalf("step %d, %+v: %s after the start, want %s", i, s, got, seconds(s.want))
				}
			}
		})
	}
}

// Whatever is done to the machine's clock: never backwards; never behind the
// machine's; while ahead of it, at half the pace.
func TestNeverBackwards(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := &machine{wall: time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)}
		c := New(m.read)
		was := c.Now()
		for range rapid.IntRange(1, 50).Draw(t, "steps") {
			goes := time.Duration(rapid.Int64Range(0, int64(time.Hour)).Draw(t, "goes"))
			asleep := time.Duration(rapid.Int64Range(0, int64(time.Hour)).Draw(t, "asleep"))
			set := time.Duration(rapid.Int64Range(-int64(time.Hour), int64(time.Hour)).Draw(t, "set"))
			m.pass(goes, asleep, set)
			now := c.Now()
			switch ahead := now.Sub(m.wall); {
			case now.Before(was):
				t.Fatalf("%s after %s", now, was)
			case ahead < 0:
				t.Fatalf("%s behind the machine's clock", -ahead)
			case ahead > 0 && now.Sub(was) != goes/2:
				t.Fatalf("%s went by while ahead, want half of %s", now.Sub(was), goes)
			}
			was = now
		}
	})
}

// Each goroutine sees times that do not go backwards, and so do all together, while
// the machine's clock is set back again and again.
func TestManyAsk(t *testing.T) {
	m := &machine{wall: time.Now()}
	c := New(m.read)
	var asking sync.WaitGroup
	var mu sync.Mutex
	var last time.Time
	for range 8 {
		asking.Go(func() {
			for n := range 2000 {
				m.pass(time.Microsecond, 0, 0)
				if n%50 == 0 {
					m.pass(0, 0, -time.Millisecond)
				}
				mu.Lock()
				now := c.Now()
				if now.Before(last) {
					t.Errorf("%s after %s", now, last)
				}
				last = now
				mu.Unlock()
				alone := c.Now()
				if again := c.Now(); again.Before(alone) {
					t.Errorf("%s after %s", again, alone)
				}
			}
		})
	}
	asking.Wait()
}

// The machine's own clock is followed.
func TestOfTheMachine(t *testing.T) {
	c := New(nil)
	before := time.Now()
	now := c.Now()
	if after := time.Now(); now.Before(before.Round(0)) || now.After(after.Round(0)) {
		t.Errorf("Now() = %s, not between %s and %s", now, before, after)
	}
}

func BenchmarkNow(b *testing.B) {
	c := New(nil)
	b.ReportAllocs()
	for b.Loop() {
		c.Now()
	}
}
