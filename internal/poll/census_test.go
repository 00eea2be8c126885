package poll

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/zim-presence/poller/internal/diff"
	"github.com/zim-presence/poller/presence"
)

// censuses are those that a recorder took, and when since the term began.
type censuses struct {
	sync.Mutex // guards all below
	taken      []diff.Census
	ats        []time.Duration
	takes      time.Duration
}

func (c *censuses) on(r *Recorder) {
	began := time.Now()
	r.Census = func(census diff.Census) {
		time.Sleep(c.takes)
		c.Lock()
		defer c.Unlock()
		c.taken, c.ats = append(c.taken, census), append(c.ats, time.Since(began)-c.takes)
	}
}

// want holds when users were counted to what it should be.
func (c *censuses) want(t *testing.T, ats ...time.Duration) {
	t.Helper()
	c.Lock()
	defer c.Unlock()
	if diff := cmp.Diff(ats, c.ats); diff != "" {
		t.Errorf("counted at (-want +got):\n%s", diff)
	}
}

// Users are counted when the term begins, at the end of each sweep, and every ten
// seconds else, also while a sweep is under way.
func TestCensus(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c censuses
		u := newTown(time.Second, "a", "b", "c")
		l := live(t, newBook(), u, "@every 1m", c.on)
		l.until(2 * time.Second)
		u.set(presence.Offline, "a")
		u.set(presence.Unknown, "b")
		u.slow(24 * time.Second)
		l.until(97 * time.Second)
		const s = time.Second
		c.want(t, 0, 1*s, 11*s, 21*s, 31*s, 41*s, 51*s, 61*s, 71*s, 81*s, 84*s, 94*s)
		want := []diff.Census{
			0:  {At: l.at(0)},
			1:  {At: l.at(s), Online: 3, Ages: diff.Ages{Users: [12]int{0: 3}, Median: s, P99: s, Oldest: s}},
			2:  {At: l.at(11 * s), Online: 3, Ages: diff.Ages{Users: [12]int{2: 3}, Median: 11 * s, P99: 11 * s, Oldest: 11 * s}},
			10: {At: l.at(84 * s), Online: 2, Offline: 1, Ages: diff.Ages{Users: [12]int{2: 2, 4: 1}, P99: 84 * s, Oldest: 84 * s}},
		}
		for i, w := range want {
			if got := c.taken[i]; !w.At.IsZero() {
				if i == 10 { // two of three are 24 s old, as near as it is told
					w.Ages.Median = min(max(24*s, got.Ages.Median), 24*s+24*s/64)
				}
				if diff := cmp.Diff(w, got); diff != "" {
					t.Errorf("census %d (-want +got):\n%s", i, diff)
				}
			}
		}
		_ = l.stop()
	})
}

// Counting takes a hundredth of the time at the most, however short the sweeps are.
func TestCensusLeavesTimeToRecord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := censuses{takes: 50 * time.Millisecond}
		l := live(t, newBook(), newTown(takes, "a"), "@every 1s", c.on)
		l.until(18 * time.Second)
		c.Lock()
		n := len(c.ats)
		for i := 1; i < n; i++ {
			if pause := c.ats[i] - c.ats[i-1]; pause < 100*c.takes || pause > 100*c.takes+time.Second {
				t.Errorf("counted at %v, %s after the one before; want 5 s, and hardly more", c.ats[i], pause)
			}
		}
		c.Unlock()
		if n != 4 {
			t.Errorf("counted %d times in 18 s, want 4 times", n)
		}
		_ = l.stop()
	})
}

// A memory that is ahead of the ledger is not counted.
func TestNoCensusOfWhatWasNotWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c censuses
		b := newBook()
		l := live(t, b, newTown(takes, "a"), "@every 1m", c.on)
		l.fails.Store(true)
		l.until(time.Second)
		c.want(t, 0)
		_ = l.stop()
	})
}
