package poll

import (
	"context"
	"errors"
	"iter"
	"maps"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zim-presence/poller/internal/budget"
	"github.com/zim-presence/poller/presence"
)

// ear hears what becomes of hints.
type ear struct {
	hints  *Hints
	mu     sync.Mutex // guards all below
	became map[Hinting]int
	sooner []time.Duration
}

func newEar() *ear { return &ear{hints: NewHints(), became: map[Hinting]int{}} }

// listen has a recorder take hints, at a rate of 20 requests a second.
func (e *ear) listen(r *Recorder) {
	r.Hints, r.Rate = e.hints, func() float64 { return 20 }
	r.Hinted = func(what Hinting) {
		e.mu.Lock()
		defer e.mu.Unlock()
		e.became[what]++
	}
	r.Sooner = func(d time.Duration) {
		e.mu.Lock()
		defer e.mu.Unlock()
		e.sooner = append(e.sooner, d)
	}
}

// gains are the times by which changes were seen sooner, in order.
func (e *ear) gains() []time.Duration {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.sooner)
}

func (e *ear) put(t testing.TB, online bool, ids ...string) {
	t.Helper()
	for _, id := range ids {
		if err := e.hints.Put(Hint{id, online}); err != nil {
			t.Fatal(err)
		}
	}
}

func (e *ear) counts() map[Hinting]int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return maps.Clone(e.became)
}

func (e *ear) want(t testing.TB, want map[Hinting]int) {
	t.Helper()
	if got := e.counts(); !maps.Equal(got, want) {
		t.Errorf("hints came to %v, want %v", got, want)
	}
}

// The user of a hint is asked about within a second, however far away the next sweep is,
// and the event is the one that a sweep at that time would have told.
func TestHintBetweenSweeps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEar()
		l := live(t, newBook(), newTown(takes, "a", "b"), "@every 1h", e.listen)
		l.until(10 * time.Minute)
		l.town.set(presence.Offline, "a")
		l.until(10*time.Minute + time.Second)
		e.put(t, false, "a")
		l.until(10*time.Minute + 2*time.Second)
		asked := 10*time.Minute + time.Second + gatherFor
		l.want(2, offline("a", l.at(0), l.at(asked+takes), time.Time{}, 1))
		if got := l.town.askedAgain(); !slices.Equal(got, []string{"a"}) {
			t.Errorf("asked about %v, want a, once", got)
		}
		e.want(t, map[Hinting]int{HintTaken: 1})
		if want := 50*time.Minute - time.Second - gatherFor - takes; !slices.Equal(e.gains(), []time.Duration{want}) {
			t.Errorf("sooner by %v, want %s", e.gains(), want)
		}
		l.until(2*time.Hour + time.Minute)
		l.want(3)
		_ = l.stop()
	})
}

// A hint has users asked about ahead of what a sweep under way still has to ask, and is
// counted as asking again.
func TestHintDuringASweep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, ids := newEar(), names(6000) // 60 batches: a minute
		l := live(t, newBook(), newTown(time.Second, ids...), "@every 1h", e.listen)
		first, last := ids[0], ids[5999]
		l.until(time.Hour + 10*time.Second + takes)
		l.town.set(presence.Offline, first, last)
		e.put(t, false, first, last)
		l.until(time.Hour + 12*time.Second)
		if n := len(l.told(6000)); n != 2 || l.book.count("snapshot") != 1 {
			t.Errorf("%d told, %d snapshots; want 2 told before the sweep is over", n, l.book.count("snapshot"))
		}
		l.until(time.Hour + 2*time.Minute)
		if len(l.told(6000)) != 2 || l.swept.Again != 1 || l.swept.Requests != 60 || !l.swept.Complete {
			t.Errorf("%d told, sweep %+v; want no more told, and 60 requests besides the one", len(l.told(6000)), l.swept)
		}
		// One was answered in the sweep already, and waits for the next; the other for what
		// is left of this one, by half.
		gains := e.gains()
		slices.Sort(gains)
		if len(gains) != 2 || gains[0] < 15*time.Second || gains[0] > 35*time.Second || gains[1] < 59*time.Minute {
			t.Errorf("sooner by %v, want about 25 s, and nearly an hour", gains)
		}
		_ = l.stop()
	})
}

// ZIM may answer later than it calls back. It is looked at twice more, and then left to
// the sweep.
func TestHintAheadOfTheTruth(t *testing.T) {
	for name, test := range map[string]struct {
		lag   time.Duration // of the truth, behind the hint
		looks int
		told  time.Duration // behind the hint, within a second; 0 for not
	}{
		"none":       {0, 1, gatherFor},
		"a moment":   {time.Second, 2, gatherFor + secondLook},
		"seconds":    {5 * time.Second, 3, gatherFor + lastLook},
		"half a day": {time.Hour, 3, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e := newEar()
				l := live(t, newBook(), newTown(takes, "a", "b"), "@every 12h", e.listen)
				l.until(time.Minute)
				e.put(t, false, "a")
				l.until(time.Minute + test.lag)
				l.town.set(presence.Offline, "a")
				l.until(2 * time.Hour)
				if got := l.town.askedAgain(); len(got) != test.looks {
					t.Errorf("asked about %v, want %d times", got, test.looks)
				}
				told := l.told(2)
				if (len(told) > 0) != (test.told > 0) {
					t.Fatalf("told %v", told)
				}
				if len(told) == 1 {
					if late := told[0].ObservedAt.Sub(l.at(time.Minute)); late < test.told || late > test.told+time.Second {
						t.Errorf("seen %s behind the hint, want %s", late, test.told)
					}
				}
				_ = l.stop()
			})
		})
	}
}

// What is said twice is asked once, the opposite is asked anew, and who is not watched is
// passed over.
func TestHintsThatAreNone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEar()
		l := live(t, newBook(), newTown(takes, "a", "b", "c"), "@every 1h", e.listen)
		l.until(time.Minute)
		l.town.set(presence.Offline, "a")
		e.put(t, false, "a", "a", "nobody", "")
		l.until(time.Minute + time.Second)
		e.put(t, false, "a") // as was answered a moment ago
		l.until(time.Minute + 2*time.Second)
		e.want(t, map[Hinting]int{HintTaken: 1, HintDoubled: 2, HintUnknown: 2})
		l.town.set(presence.Online, "a")
		e.put(t, true, "a")
		l.until(time.Minute + 3*time.Second)
		e.put(t, false, "b") // is online on another device
		l.until(time.Minute + 4*time.Second)
		e.put(t, true, "b") // and comes back on the first
		l.until(time.Hour - time.Second)
		e.want(t, map[Hinting]int{HintTaken: 3, HintDoubled: 3, HintUnknown: 2})
		if got, want := l.town.askedAgain(), []string{"a", "a", "b", "b", "b"}; !slices.Equal(got, want) {
			t.Errorf("asked about %v, want %v", got, want)
		}
		if told := l.told(3); len(told) != 2 {
			t.Errorf("told %v, want that a went and came", told)
		}
		_ = l.stop()
	})
}

// Outside of a term hints are refused; what one ends with is counted.
func TestHintsWithoutATerm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEar()
		if err := e.hints.Put(Hint{"a", true}); !errors.Is(err, ErrNotRecording) {
			t.Errorf("before the term: %v", err)
		}
		town := newTown(takes, "a")
		l := live(t, newBook(), town, "@every 1h", e.listen)
		l.until(time.Minute)
		e.put(t, false, "a")
		synctest.Wait()
		if err := l.stop(); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		if err := e.hints.Put(Hint{"a", true}); !errors.Is(err, ErrNotRecording) {
			t.Errorf("behind the term: %v", err)
		}
		e.want(t, map[Hinting]int{HintTaken: 1})
	})
}

// No more hints wait than there may; what waits when a term ends is counted.
func TestHintsThatWait(t *testing.T) {
	e := newEar()
	r := recorder(t, newList(), everybody(presence.Online), newBook())
	e.listen(r)
	r.beginHints()
	for range mostHints {
		e.put(t, true, "a")
	}
	if err := e.hints.Put(Hint{"b", true}); !errors.Is(err, ErrTooManyHints) {
		t.Errorf("one too many: %v", err)
	}
	r.endHints()
	e.want(t, map[Hinting]int{HintLost: mostHints})
}

// A user who left the watchlist is asked about no more.
func TestHintOfWhoLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEar()
		l := live(t, newBook(), newTown(takes, "a", "b", "c"), "@every 10s", e.listen)
		l.until(8 * time.Second)
		e.put(t, false, "a") // who stays online: a second look at 10.25 s
		l.until(9 * time.Second)
		l.town.watch("b", "c")
		l.until(time.Minute)
		if got := l.town.askedAgain(); !slices.Equal(got, []string{"a"}) {
			t.Errorf("asked about %v, want a once", got)
		}
		_ = l.stop()
	})
}

// waiting is how many changes are stored as held.
func (l *life) waiting() int {
	l.book.mu.Lock()
	defer l.book.mu.Unlock()
	return len(l.book.held)
}

// With a hold a hint has the change seen sooner; it is told when it has lasted.
func TestHintWithAHold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEar()
		l := live(t, newBook(), newTown(takes, "a", "b"), "@every 1h", func(r *Recorder) {
			e.listen(r)
			r.Hold.Offline = 30 * time.Second
		})
		l.until(10 * time.Minute)
		l.town.set(presence.Offline, "a")
		e.put(t, false, "a")
		l.until(10*time.Minute + 29*time.Second)
		l.want(2)
		if l.waiting() != 1 || len(e.gains()) != 1 {
			t.Errorf("%d held, sooner %v; want one of each", l.waiting(), e.gains())
		}
		seen := 10*time.Minute + gatherFor + takes
		l.until(10*time.Minute + 32*time.Second)
		l.want(2, offline("a", l.at(0), l.at(seen), l.at(seen+30*time.Second+gatherFor+takes), 1))
		_ = l.stop()
	})
}

// rationed is a town whose requests take slots of a budget, as the client does.
type rationed struct {
	*town
	limiter *budget.Limiter
	mu      sync.Mutex // guards both below
	swept   []time.Time
	beside  []time.Time
}

func (r *rationed) ask(ctx context.Context, users []presence.User, answers chan<- presence.Answer, sent *[]time.Time) (asked Asked, err error) {
	var flights sync.WaitGroup
	defer flights.Wait()
	for batch := range slices.Chunk(users, 100) {
		slot, err := r.limiter.Take(ctx)
		if err != nil {
			return asked, err
		}
		slot()
		asked.Requests++
		r.mu.Lock()
		*sent = append(*sent, time.Now())
		r.mu.Unlock()
		flights.Go(func() { _, _ = r.town.ask(ctx, batch, answers) })
	}
	return asked, nil
}

func (r *rationed) Ask(ctx context.Context, users iter.Seq[presence.User], answers chan<- presence.Answer) (Asked, error) {
	return r.ask(ctx, slices.Collect(users), answers, &r.swept)
}

func (r *rationed) Confirm(ctx context.Context, users []presence.User, answers chan<- presence.Answer) (Asked, error) {
	return r.ask(ctx, users, answers, &r.beside)
}

// sent returns how many requests of each sort were sent between two times, and the most
// of all in any second.
func (r *rationed) sent(from, to time.Time) (swept, beside, most int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	within := func(t time.Time) bool { return !t.Before(from) && t.Before(to) }
	for _, t := range r.swept {
		if within(t) {
			swept++
		}
	}
	for _, t := range r.beside {
		if within(t) {
			beside++
		}
	}
	all := slices.SortedFunc(slices.Values(slices.Concat(r.swept, r.beside)), time.Time.Compare)
	for i := range all {
		n, _ := slices.BinarySearchFunc(all, all[i].Add(time.Second), time.Time.Compare)
		most = max(most, n-i)
	}
	return swept, beside, most
}

// A flood of hints, all signed, takes a quarter of the budget, and a sweep goes on with
// the rest; no second holds more than the limit.
func TestHintsDoNotStarveTheSweep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const users, flood = 60_000, 100_000 // 600 batches: 30 s without hints
		e, ids := newEar(), names(users)
		b := newBook()
		r := &rationed{town: newTown(5*time.Millisecond, ids...), limiter: budget.New(20, nil)}
		l := live(t, b, r.town, "@every 10m", func(rec *Recorder) {
			e.listen(rec)
			rec.Zim = r
		})
		l.until(10*time.Minute - time.Millisecond)
		var full int
		for n := range flood {
			if n%(flood/200) == 0 { // over the first 20 s of the sweep
				l.until(10*time.Minute + time.Duration(n)*200*time.Microsecond)
			}
			if err := e.hints.Put(Hint{ids[n%users], n%3 == 0}); errors.Is(err, ErrTooManyHints) {
				full++
			}
		}
		l.until(12 * time.Minute)
		from := l.at(10 * time.Minute)
		if !l.swept.Complete || l.swept.Seen != users {
			t.Fatalf("the sweep is %+v, want a complete one", l.swept)
		}
		swept, beside, most := r.sent(from, l.swept.Finished)
		share := float64(beside) / float64(swept+beside)
		if share > 0.26 || most > 20 || swept != users/100 {
			t.Errorf("%d requests of the sweep and %d for hints, a share of %.3f; at most %d in a second", swept, beside, share, most)
		}
		if beside < 100 {
			t.Errorf("%d requests for hints, want the quarter used", beside)
		}
		t.Logf("%d requests of the sweep in %s, %d for hints (%.1f %%), at most %d in a second; hints %v, %d not taken in",
			swept, l.swept.Finished.Sub(from), beside, 100*share, most, e.became, full)
		_ = l.stop()
	})
}
