package zimsim

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

// The machine runs something else between any two readings of a clock, now and then: what is read together is of one
// moment all the same.
func TestClocksAreReadTogether(t *testing.T) {
	for interrupted := range 6 { // after that many readings
		var now time.Duration
		reads := 0
		read := func() time.Duration {
			if reads++; reads == interrupted || reads == interrupted+2 {
				now += 40 * time.Millisecond
			}
			now += time.Microsecond
			return now
		}
		zero := time.Unix(1_000_000, 0)
		offset, at := together(read, func() time.Time { return zero.Add(read()) })
		if apart := at.Sub(zero) - offset; apart < 0 || apart > oneMoment {
			t.Errorf("interrupted after %d readings: the clocks are %v apart", interrupted, apart)
		}
	}
}

// A machine so crowded that it never gets there: the closest readings count.
func TestClocksThatAreNeverReadTogether(t *testing.T) {
	var now time.Duration
	step := 10 * time.Millisecond
	read := func() time.Duration {
		now += step
		step += time.Millisecond
		return now
	}
	zero := time.Unix(1_000_000, 0)
	offset, at := together(read, func() time.Time { return zero.Add(read()) })
	if apart := at.Sub(zero) - offset; apart != 11*time.Millisecond {
		t.Errorf("the clocks are %v apart, want the least, 11ms", apart)
	}
}

// When a request arrived is what the kernel says, however late the gateway looks; where it says nothing, or the
// machine's clock was set, it is the moment at which the gateway looks.
func TestArrived(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		clk := startClock()
		<-time.After(90 * time.Second)
		now := clk.elapsed()
		for _, c := range []struct {
			came time.Time
			want time.Duration
		}{
			{time.Time{}, now},
			{time.Now().Add(-30 * time.Millisecond), now - 30*time.Millisecond},
			{time.Now().Add(-2 * time.Second), now - 2*time.Second},
			{time.Now().Add(-2 * time.Minute), now},
			{time.Now().Add(time.Second), now},
		} {
			conn := &doomable{}
			if !c.came.IsZero() {
				conn.came.Store(c.came.UnixNano())
			}
			if got := clk.arrived(context.WithValue(t.Context(), connKey{}, conn)); got != c.want {
				t.Errorf("bytes that came at %v: arrived at %v, want %v", c.came, got, c.want)
			}
		}
		if got := clk.arrived(t.Context()); got != now {
			t.Errorf("over a connection that is not ours: arrived at %v, want %v", got, now)
		}
	})
}
