package poll

import (
	"context"
	"errors"
	"iter"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/zim-presence/poller/internal/diff"
	"github.com/zim-presence/poller/presence"
)

// town is an upstream with a truth that tests change: everybody is in the status of
// the moment, or is not answered about.
type town struct {
	mu     sync.Mutex    // guards all below
	takes  time.Duration // an answer
	ahead  time.Duration // the clock, of what time.Now says
	ids    []string      // the watchlist
	status map[string]presence.Status
	again  []string // who was asked again, in order
	flying int
	most   int // calls of Confirm at once
}

func newTown(takes time.Duration, ids ...string) *town {
	u := &town{takes: takes, ids: ids, status: map[string]presence.Status{}}
	u.set(presence.Online, ids...)
	return u
}

// set changes the truth; unknown is not answered about.
func (u *town) set(s presence.Status, ids ...string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, id := range ids {
		u.status[id] = s
	}
}

// watch changes the watchlist.
func (u *town) watch(ids ...string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.ids = ids
}

// slow changes how long an answer takes.
func (u *town) slow(takes time.Duration) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.takes = takes
}

func (u *town) pace() time.Duration {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.takes
}

// Users is the watchlist.
func (u *town) Users(_ context.Context, yield func([]byte) error) (Listed, error) {
	u.mu.Lock()
	ids := slices.Clone(u.ids)
	u.mu.Unlock()
	for _, id := range ids {
		if err := yield([]byte(id)); err != nil {
			return Listed{}, err
		}
	}
	return Listed{}, nil
}

func (u *town) askedAgain() []string {
	u.mu.Lock()
	defer u.mu.Unlock()
	return slices.Clone(u.again)
}

// leap sets the clock forward.
func (u *town) leap(d time.Duration) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.ahead += d
}

func (u *town) now() time.Time {
	u.mu.Lock()
	defer u.mu.Unlock()
	return presence.Instant(time.Now().Add(u.ahead))
}

func (u *town) answer(ctx context.Context, users []presence.User) (a presence.Answer, err error) {
	a.AskedAt = u.now()
	select {
	case <-time.After(u.pace()):
	case <-ctx.Done():
		return a, context.Cause(ctx)
	}
	a.At = u.now()
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, user := range users {
		if s := u.status[user.ID]; s == presence.Unknown {
			a.Missed = append(a.Missed, presence.Miss{User: user, Reason: presence.MissFailed})
		} else {
			a.Observations = append(a.Observations, observation(user, s))
		}
	}
	return a, nil
}

func (u *town) ask(ctx context.Context, users []presence.User, answers chan<- presence.Answer) (asked Asked, err error) {
	for batch := range slices.Chunk(users, 100) {
		asked.Requests++
		answer, err := u.answer(ctx, batch)
		if err != nil {
			return asked, err
		}
		select {
		case answers <- answer:
		case <-ctx.Done():
			return asked, context.Cause(ctx)
		}
	}
	return asked, nil
}

func (u *town) Ask(ctx context.Context, users iter.Seq[presence.User], answers chan<- presence.Answer) (Asked, error) {
	return u.ask(ctx, slices.Collect(users), answers)
}

func (u *town) Confirm(ctx context.Context, users []presence.User, answers chan<- presence.Answer) (Asked, error) {
	u.mu.Lock()
	for _, user := range users {
		u.again = append(u.again, user.ID)
	}
	u.flying++
	u.most = max(u.most, u.flying)
	u.mu.Unlock()
	defer func() {
		u.mu.Lock()
		defer u.mu.Unlock()
		u.flying--
	}()
	return u.ask(ctx, users, answers)
}

// life is a term that runs in a bubble of its own time.
type life struct {
	*testing.T
	began  time.Time
	book   *book
	town   *town
	r      *Recorder
	never  []diff.Suppressed
	waits  int         // as reported
	swept  Report      // the newest
	fails  atomic.Bool // each call of the ledger
	ended  chan error
	cancel context.CancelFunc
	stop   func() error
}

// live starts a term on what the book has; every is its schedule.
func live(t *testing.T, b *book, u *town, every string, change func(*Recorder)) *life {
	l := &life{T: t, began: presence.Instant(time.Now()), book: b, town: u}
	l.r = recorder(t, u, u, b)
	var err error
	if l.r.Schedule, err = ParseSchedule(every); err != nil {
		t.Fatal(err)
	}
	l.r.Suppressed = func(s diff.Suppressed) { l.never = append(l.never, s) }
	l.book.fault = func(string) (bool, error) {
		if l.fails.Load() {
			return false, errFault
		}
		return true, nil
	}
	l.r.Ended = func(r Report, _ error) { l.swept = r }
	l.r.Waiting = func(n int) { l.waits = n }
	change(l.r)
	ctx, cancel := context.WithCancel(t.Context())
	l.cancel = cancel
	l.ended = make(chan error, 1)
	go func() { l.ended <- l.r.Run(ctx) }()
	l.stop = func() error {
		cancel()
		return <-l.ended
	}
	return l
}

// until passes time, up to so long after the term began.
func (l *life) until(d time.Duration) {
	l.Helper()
	time.Sleep(time.Until(l.began.Add(d)))
	synctest.Wait()
	l.sound()
}

func (l *life) sound() {
	l.Helper()
	l.book.mu.Lock()
	defer l.book.mu.Unlock()
	if l.book.broken != nil {
		l.Fatal(l.book.broken)
	}
}

// told returns the events behind the nth, without users, numbers and sweeps.
func (l *life) told(n int) []presence.Transition {
	l.book.mu.Lock()
	defer l.book.mu.Unlock()
	events := slices.Clone(l.book.events[n:])
	for i := range events {
		events[i].Seq, events[i].PrevSeq, events[i].User.No = 0, 0, 0
	}
	return events
}

// want holds the events behind the nth to what they should be.
func (l *life) want(n int, events ...presence.Transition) {
	l.Helper()
	if diff := cmp.Diff(events, l.told(n)); diff != "" && len(events)+len(l.told(n)) > 0 {
		l.Errorf("told (-want +got):\n%s", diff)
	}
}

func (l *life) at(d time.Duration) time.Time { return l.began.Add(d) }

func offline(id string, after, seen, confirmed time.Time, sweep int64) presence.Transition {
	return presence.Transition{
		User: presence.User{ID: id}, Kind: presence.KindOffline, From: presence.Online, To: presence.Offline, Detail: presence.Timeout,
		After: after, ObservedAt: seen, ConfirmedAt: confirmed, Sweep: sweep,
	}
}

const takes = 100 * time.Millisecond

func holding(offline time.Duration) func(*Recorder) {
	return func(r *Recorder) { r.Hold.Offline = offline }
}

// A flap that is shorter than the hold tells nothing; it is counted.
func TestFlapWithinTheHold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := live(t, newBook(), newTown(takes, "a", "b"), "@every 1h", holding(30*time.Second))
		l.until(time.Hour - time.Second)
		l.town.set(presence.Offline, "a")
		l.until(time.Hour + time.Second)
		if len(l.book.held) != 1 || l.waits != 1 {
			t.Errorf("held %v, reported %d; want one", l.book.held, l.waits)
		}
		l.town.set(presence.Online, "a")
		l.until(time.Hour + time.Minute)
		l.want(2)
		if len(l.book.held) != 0 || l.waits != 0 || len(l.never) != 1 || l.never[0].Why != diff.Unconfirmed || l.never[0].Held.User.ID != "a" {
			t.Errorf("held %v, %d reported, suppressed %+v; want none, and one suppressed", l.book.held, l.waits, l.never)
		}
		if got := l.town.askedAgain(); !slices.Equal(got, []string{"a"}) {
			t.Errorf("asked again about %v, want a, once", got)
		}
		_ = l.stop()
	})
}

// What lasts is confirmed within a second behind the hold, however far away the next
// sweep is; the event says when it was seen, and when it was confirmed.
func TestConfirmedBetweenSweeps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := live(t, newBook(), newTown(takes, "a", "b"), "@every 1h", holding(30*time.Second))
		l.until(time.Hour - time.Second)
		l.town.set(presence.Offline, "a")
		seen := time.Hour + takes
		l.until(seen + 30*time.Second)
		l.want(2)
		l.until(seen + 31*time.Second)
		asked := seen + 30*time.Second + gatherFor
		l.want(2, offline("a", l.at(0), l.at(seen), l.at(asked+takes), 2))
		want := presence.State{
			User: presence.User{No: 1, ID: "a"}, Watched: true, Status: presence.Offline, Detail: presence.Timeout,
			Since: l.at(seen), ObservedAt: l.at(asked + takes), AskedAt: l.at(asked), LastSeq: 3,
		}
		if diff := cmp.Diff(want, l.book.users["a"]); diff != "" {
			t.Errorf("state (-want +got):\n%s", diff)
		}
		l.until(2*time.Hour + time.Minute)
		l.want(3)
		if len(l.book.held) != 0 || l.waits != 0 || len(l.town.askedAgain()) != 1 {
			t.Errorf("held %v, asked again %v; want none, and one", l.book.held, l.town.askedAgain())
		}
		_ = l.stop()
	})
}

// It is confirmed while a sweep runs that lasts for minutes, and the sweep's own
// answer confirms too, if it comes first.
func TestConfirmedDuringASweep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ids := names(6000) // 60 batches: a minute
		l := live(t, newBook(), newTown(time.Second, ids...), "@every 1h", holding(20*time.Second))
		l.until(time.Hour - time.Second)
		gone := []string{ids[0], ids[1]}
		l.town.set(presence.Offline, gone...)
		l.until(time.Hour + 30*time.Second)
		if n := len(l.told(6000)); n != 2 || l.book.count("snapshot") != 1 {
			t.Errorf("%d told, %d snapshots; want 2 told before the sweep is over", n, l.book.count("snapshot"))
		}
		l.until(time.Hour + 2*time.Minute)
		if len(l.told(6000)) != 2 || l.book.count("snapshot") != 2 {
			t.Errorf("%d told, %d snapshots; want no more told and the sweep's snapshot", len(l.told(6000)), l.book.count("snapshot"))
		}
		if l.swept.Requests != 60 || l.swept.Again != 1 {
			t.Errorf("%d requests, and %d to ask again; want 60 and 1", l.swept.Requests, l.swept.Again)
		}
		_ = l.stop()

		// A schedule that is faster than the hold needs no asking again.
		b := newBook()
		l = live(t, b, newTown(takes, "a"), "@every 10s", holding(19*time.Second))
		l.until(9 * time.Second)
		l.town.set(presence.Offline, "a")
		l.until(31 * time.Second)
		l.want(1, offline("a", l.at(0), l.at(10*time.Second+takes), l.at(29*time.Second+takes+gatherFor+takes), 3))
		_ = l.stop()
	})
}

// Who is not answered when asked again stays as told, and is asked again, later each
// time; a failure that is no answer changes nothing.
func TestMissedConfirmation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := live(t, newBook(), newTown(takes, "a"), "@every 1h", holding(30*time.Second))
		l.until(time.Hour - time.Second)
		l.town.set(presence.Offline, "a")
		l.until(time.Hour + time.Second)
		l.town.set(presence.Unknown, "a")
		var asked []int
		for d := time.Hour + 30*time.Second; d < time.Hour+6*time.Minute; d += time.Second {
			l.until(d)
			if n := len(l.town.askedAgain()); n > len(asked) {
				asked = append(asked, int(d/time.Second)-3600)
			}
		}
		l.want(1)
		if want := []int{31, 36, 47, 67, 107, 168, 228, 288, 349}; !slices.Equal(asked, want) {
			t.Errorf("asked again by second %v, want %v", asked, want)
		}
		l.town.set(presence.Offline, "a")
		l.until(time.Hour + 8*time.Minute)
		if events := l.told(1); len(events) != 1 || !events[0].ObservedAt.Equal(l.at(time.Hour+takes)) {
			t.Errorf("told %+v, want offline as first seen", events)
		}
		_ = l.stop()
	})
}

// Many are asked again in batches, one call at a time.
func TestManyAreConfirmed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ids := names(450)
		l := live(t, newBook(), newTown(takes, ids...), "@every 1h", holding(30*time.Second))
		l.until(time.Hour - time.Second)
		l.town.set(presence.Offline, ids...)
		l.until(time.Hour + 32*time.Second)
		if n, again := len(l.told(450)), len(l.town.askedAgain()); n != 450 || again != 450 || l.town.most != 1 || l.waits != 0 {
			t.Errorf("%d told, %d asked again, %d calls at once, %d wait; want 450, 450, 1, 0", n, again, l.town.most, l.waits)
		}
		_ = l.stop()
	})
}

// Whatever else is due while one call is under way, there is no second one.
func TestOneCallAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ids := names(150)
		b, u := newBook(), newTown(takes, ids...)
		r := recorder(t, u, u, b)
		r.Hold.Offline = 30 * time.Second
		mustSweep(t, r, b)
		u.set(presence.Offline, ids...)
		mustSweep(t, r, b)
		time.Sleep(time.Minute)
		for range 3 {
			if err := r.turn(t.Context(), between{r}); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		if again := len(u.askedAgain()); again != confirmAtOnce || u.most != 1 {
			t.Errorf("%d asked again in %d calls at once, want %d in one", again, u.most, confirmAtOnce)
		}
		r.end()
	})
}

// A change that is held back survives a restart, and the true interval with it, also
// where nothing is held any more.
func TestHeldSurvivesARestart(t *testing.T) {
	for _, hold := range []time.Duration{30 * time.Second, 0, 10 * time.Minute} {
		synctest.Test(t, func(t *testing.T) {
			b, u := newBook(), newTown(takes, "a")
			l := live(t, b, u, "@every 1h", holding(5*time.Minute))
			l.until(time.Hour - time.Second)
			u.set(presence.Offline, "a")
			l.until(time.Hour + time.Minute)
			if err := l.stop(); !errors.Is(err, context.Canceled) {
				t.Errorf("Run() = %v, want that of ctx", err)
			}
			after, seen := l.at(0), l.at(time.Hour+takes)

			l = live(t, b, u, "@every 1h", holding(hold))
			l.until(time.Second)
			asked := l.at(0) // by the first sweep
			if hold > time.Minute {
				l.want(1)
				l.until(hold)
				asked = seen.Add(hold + gatherFor)
			}
			want := offline("a", after, seen, asked.Add(takes), 3)
			l.want(1, want)
			_ = l.stop()
		})
	}
}

// One sweep alone leaves what is held back to the next one.
func TestHeldByOneSweepAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, u := newBook(), newTown(takes, "a")
		sweep := func() Report {
			r := recorder(t, u, u, b)
			r.Hold.Offline = 30 * time.Second
			return mustSweep(t, r, b)
		}
		if report := sweep(); report.Held != 0 {
			t.Errorf("%+v, want none held", report)
		}
		u.set(presence.Offline, "a")
		first := sweep()
		if first.Held != 1 || first.Transitions != 0 || len(b.held) != 1 || first.Seen != 1 {
			t.Errorf("%+v, held %v; want one held, and seen", first, b.held)
		}
		time.Sleep(time.Minute)
		if second := sweep(); second.Held != 0 || second.Transitions != 1 || len(b.held) != 0 {
			t.Errorf("%+v, held %v; want it told", second, b.held)
		}
		if e := b.events[1]; !e.ObservedAt.Equal(first.Started.Add(takes)) || e.ConfirmedAt.IsZero() {
			t.Errorf("%+v, want it as the first sweep saw it", e)
		}
	})
}

// Who leaves while a change waits is removed as what was told; nothing is left.
func TestHeldIsRemoved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := live(t, newBook(), newTown(takes, "a", "b"), "@every 10s", holding(time.Hour))
		l.until(5 * time.Second)
		l.town.set(presence.Offline, "a")
		l.until(15 * time.Second)
		l.town.watch("b")
		l.until(25 * time.Second)
		l.want(2, presence.Transition{
			User: presence.User{ID: "a"}, Kind: presence.KindRemoved, From: presence.Online, After: l.at(0), ObservedAt: l.at(20 * time.Second), Sweep: 3,
		})
		if len(l.book.held) != 0 || len(l.never) != 1 || l.never[0].Why != diff.Removed {
			t.Errorf("held %v, suppressed %+v", l.book.held, l.never)
		}
		_ = l.stop()
	})
}

// Whom the readers lost is told again with the next answer that says what is told,
// and not while a change waits.
func TestToldAgainWhileHeld(t *testing.T) {
	for _, back := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			var lost atomic.Bool
			l := live(t, newBook(), newTown(takes, "a"), "@every 10s", func(r *Recorder) {
				r.Hold.Offline = 25 * time.Second
				r.Again = func() ([]string, int64) {
					if lost.Swap(false) {
						return []string{"a"}, 100
					}
					return nil, 0
				}
			})
			l.until(5 * time.Second)
			l.town.set(presence.Offline, "a")
			l.until(15 * time.Second)
			lost.Store(true)
			l.until(25 * time.Second)
			l.want(1)
			want := offline("a", l.at(0), l.at(10*time.Second+takes), l.at(35*time.Second+takes+gatherFor+takes), 4)
			if back {
				l.town.set(presence.Online, "a")
				want = presence.Transition{
					User: presence.User{ID: "a"}, Kind: presence.KindBaseline, To: presence.Online, ObservedAt: l.at(30*time.Second + takes), Sweep: 4,
				}
			}
			l.until(59 * time.Second)
			l.want(1, want)
			_ = l.stop()
		})
	}
}

// The end of the term comes through whatever waits, and a commit between sweeps that
// fails is one.
func TestTermEndsWhileHeld(t *testing.T) {
	for _, c := range []struct {
		name string
		end  func(l *life, leave chan struct{})
		want error
	}{
		{"asked to leave", func(_ *life, leave chan struct{}) { close(leave) }, ErrGivenUp},
		{"a commit fails", func(l *life, _ chan struct{}) {
			l.fails.Store(true)
			l.until(time.Hour + 31*time.Second)
		}, ErrTermOver},
		{"asked to leave while it is asked again", func(l *life, leave chan struct{}) {
			l.until(time.Hour + 31*time.Second)
			close(leave)
		}, ErrGivenUp},
		{"stopped while it is asked again", func(l *life, _ chan struct{}) { l.until(time.Hour + 31*time.Second) }, context.Canceled},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				leave := make(chan struct{})
				l := live(t, newBook(), newTown(takes, "a"), "@every 1h", func(r *Recorder) {
					r.Hold.Offline, r.Leave = 30*time.Second, leave
				})
				defer l.cancel()
				l.until(time.Hour - time.Second)
				l.town.set(presence.Offline, "a")
				l.until(time.Hour + time.Second)
				if strings.Contains(c.name, "while") {
					l.town.slow(time.Hour)
				}
				c.end(l, leave)
				synctest.Wait()
				if strings.Contains(c.name, "while") && l.town.most != 1 {
					t.Error("nobody is being asked again")
				}
				end := l.stop
				if !errors.Is(c.want, context.Canceled) { // it ends by itself
					end = func() error { return <-l.ended }
				}
				if err := end(); !errors.Is(err, c.want) || l.town.flying != 0 {
					t.Errorf("Run() = %v, want %v; %d calls under way", err, c.want, l.town.flying)
				}
				if l.waits != 0 || len(l.book.held) != 1 || len(l.told(1)) != 0 {
					t.Errorf("%d reported, held %v, told %v; want 0, and one in the ledger", l.waits, l.book.held, l.told(1))
				}
			})
		})
	}
}
