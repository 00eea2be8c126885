package poll

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/zim-presence/poller/internal/diff"
	"github.com/zim-presence/poller/presence"
)

// Watchlist is who is to be asked about.
type Watchlist interface {
	// Users yields every id once. After an error what was yielded is a part of
	// the list only.
	Users(ctx context.Context, yield func(id []byte) error) (Listed, error)
}

// Listed says what a reading of the watchlist passed over, or found strange.
type Listed struct {
	// Invalid ids cannot be asked about and were not yielded. Long ones were,
	// though ZIM may refuse them.
	Invalid, Long int
}

// Asker asks ZIM.
type Asker interface {
	// Ask asks about every user once and sends the answers as they come; after
	// an error some users are in none. It leaves answers open.
	Ask(ctx context.Context, users iter.Seq[presence.User], answers chan<- presence.Answer) (Asked, error)
	// Confirm asks about some users again, ahead of what Ask still has to ask, and
	// beside it. Each user is in one answer; after an error some are in none.
	Confirm(ctx context.Context, users []presence.User, answers chan<- presence.Answer) (Asked, error)
}

// Asked is what asking took.
type Asked struct {
	// Requests were sent, repetitions included.
	Requests int
	// Invented users were named in answers without having been asked about.
	Invented int
	// Failure is why some users are missed, where the asking failed; one of the
	// reasons, if there are several.
	Failure error
}

// Ledger is what the lease lets write. Every error of it ends the term: what
// was written is not known then.
type Ledger interface {
	Enroll(ctx context.Context, ids []string) ([]presence.State, error)
	Commit(ctx context.Context, c presence.Changes, sweep int64) error
	SaveSnapshot(ctx context.Context, s presence.Snapshot) error
}

// ErrTermOver wraps an error after which the memory no longer fits the ledger:
// the lease is to be won again, and the state loaded again.
var ErrTermOver = errors.New("the term is over")

// ErrGivenUp ends a term that was asked to end between two sweeps.
var ErrGivenUp = errors.New("given up, as asked")

// Recorder records one app for one term of its lease. All fields are required
// but those of the last group.
type Recorder struct {
	Watchlist Watchlist
	Zim       Asker
	Ledger    Ledger
	// Memory is the state as the ledger had it when the lease was won.
	Memory *diff.Memory
	// LastSweep is the number of the newest sweep before.
	LastSweep int64
	Schedule  Schedule
	Log       zerolog.Logger
	// AllowSuddenDrop has a watchlist that is suddenly empty, or half or less,
	// taken at once. Without it the removals wait for a second sweep that finds
	// the same; they are only held when 100 users or more were watched.
	AllowSuddenDrop bool

	dropSeen bool // by the sweep before; owned by the one that runs

	// Hold is for how long a change has to last before it is told. It is confirmed by
	// asking again, when that time is over. Zero: everything is told at once.
	Hold diff.Hold
	// StaleAfter is how old the newest answer about a user may get before what is
	// told of the user is that nothing is known. Zero: as old as it likes; otherwise
	// ten seconds at least, and longer than Hold.
	StaleAfter time.Duration
	// MaxOfflineShare is from which share on of the users told online an answer is not
	// believed at once that says of them that they are offline: nothing of it is told
	// before it was asked again. Above 0 and below 1; zero: everything is believed.
	MaxOfflineShare float64
	// Patience is for how long it is asked again while that decides nothing. When it is
	// over it is asked a last time, which decides, and may take ten seconds. Zero: 30 s.
	Patience time.Duration
	// Now is the clock by which the sweeps are dated. It must not run backwards. Nil:
	// [time.Now].
	Now func() time.Time

	// Leave asks to end the term: what is in it is taken out between two sweeps,
	// never during one, and not before the first.
	Leave <-chan struct{}

	// Change brings other settings, which count at once, also in the middle of a sweep.
	// Nil: never.
	Change <-chan Settings

	// Hints are whom to ask about soon; nil for none. With them Rate is how many requests a
	// second the budget has at the moment, of which hints take a quarter at the most;
	// Hinted is called with what becomes of each, and Sooner with how much sooner a change
	// was seen than without: an estimate. All are required then.
	Hints  *Hints
	Rate   func() float64
	Hinted func(Hinting)
	Sooner func(time.Duration)

	// Again returns whom to tell of once more, as far as the next answer brings no
	// change and there was no event of theirs behind asOf. It is asked at the
	// beginning of each sweep. Nil: nobody.
	Again func() (ids []string, asOf int64)

	// Committed is called after each commit, Listed when a sweep knows whom it
	// asks about, Progress with each answer, Ended after each sweep, also one
	// that failed, and Skipped with due times that were.
	Committed func(c presence.Changes, took time.Duration)
	Listed    func(Report)
	Progress  func(Report)
	Ended     func(Report, error)
	Skipped   func(n int)
	// Suppressed is called with each change that was seen, and will never be told,
	// Waiting with how many are held back, whenever that may be another number.
	Suppressed func(diff.Suppressed)
	Waiting    func(n int)
	// Incident is called when one begins, with no end, and when it is decided, behind
	// what came of it; of one that the end of the term cuts off nothing more comes. Gated
	// is called with how many users are not believed to be offline yet, when that is
	// another number.
	Incident func(Incident)
	Gated    func(n int)
	// Census is called with how everybody stands: when the term begins, at the end of
	// each sweep, and every ten seconds beside and between; more seldom where counting
	// would take more than a hundredth of the time.
	Census func(diff.Census)

	// What goes on beside the sweeps; owned by the goroutine that records.
	began   time.Time // the term
	from    time.Time // due times count from here: the last one, or when the schedule changed
	asked   bool      // about everybody, once in this term
	judgeAt time.Time // when ages are judged next
	read    time.Time // the clock, the last time, and when that was
	readAt  time.Time
	leapt   time.Time // from when on ages count, once the clock was set forward
	countAt time.Time // when users are counted next, where nothing else has them counted
	// countRests is until when they are not, whatever happens.
	countRests time.Time
	lane       lane
	timer      *time.Timer // see wake
	gate       *gate       // nil where everything is believed
	dice       *rand.Rand  // of the gate; nil in the beginning
	gatedBy    int         // how many users are, as was reported
	hinted     *hinted     // nil without hints
	hintsFrom  time.Time   // from when on may be asked for them again

	mu      sync.Mutex // guards all below
	running bool
	moved   time.Time // last sign of life of the sweep that runs
	due     time.Time // of the next
}

// Run sweeps at once and then on schedule, until ctx ends or the term is over;
// the error is the cause of ctx, [ErrGivenUp], or wraps [ErrTermOver].
func (r *Recorder) Run(ctx context.Context) error {
	r.begin()
	defer r.end()
	due := time.Now()
	for {
		var err error
		if due, err = r.sleepUntil(ctx, due); err != nil {
			return err
		}
		r.from = due
		report, err := r.sweep(ctx)
		if errors.Is(err, ErrTermOver) {
			return err
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		select {
		case <-r.Leave: // also where no time is left between sweeps
			return ErrGivenUp
		default:
		}
		now := time.Now()
		next, skipped := r.Schedule.after(r.from, now)
		if skipped > 0 {
			_, without := r.Schedule.after(r.from, now.Add(-report.Waited))
			r.Log.Warn().Int("skipped", skipped).Str("cause", cause(skipped, without, report.Failure, err)).
				Msg("the sweep lasted longer than the schedule leaves room for")
			if r.Skipped != nil {
				r.Skipped(skipped)
			}
		}
		due = next
	}
}

// Overdue returns an error when no sweep runs though one was due, or when the
// one that runs has not moved, for longer than patience.
func (r *Recorder) Overdue(now time.Time, patience time.Duration) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.running {
		if still := now.Sub(r.moved); still > patience {
			return fmt.Errorf("the sweep has not moved for %s", still.Round(time.Second))
		}
		return nil
	}
	since := r.due
	if r.moved.After(since) {
		since = r.moved // the next due time is about to be known
	}
	if late := now.Sub(since); !r.due.IsZero() && late > patience {
		return fmt.Errorf("a sweep is overdue by %s", late.Round(time.Second))
	}
	return nil
}

func (r *Recorder) expect(due time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.due = due
}

// move notes a sign of life.
func (r *Recorder) move(running bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.running, r.moved = running, time.Now()
}

// alive notes a sign of life of the sweep that runs, if one does.
func (r *Recorder) alive() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.running {
		r.moved = time.Now()
	}
}

// sleepUntil looks at the clock at least once a minute: it may be set. Meanwhile
// it does what is due beside the sweeps. It returns for when it has slept: another
// schedule may have come.
func (r *Recorder) sleepUntil(ctx context.Context, due time.Time) (time.Time, error) {
	w := between{r}
	for {
		r.expect(due)
		left := time.Until(due)
		if left <= 0 {
			return due, nil
		}
		timer := time.NewTimer(min(left, time.Minute))
		var err error
		select {
		case <-timer.C:
		case <-r.Leave:
			err = ErrGivenUp
		case <-ctx.Done():
			err = context.Cause(ctx)
		case s := <-r.Change:
			before := r.Schedule
			err = r.change(ctx, w, s)
			if r.Schedule != before {
				due = r.Schedule.Next(r.from)
			}
		case answer, open := <-r.lane.answers():
			err = r.hear(ctx, w, answer, open)
		case <-r.hints():
			err = r.turn(ctx, w)
		case <-r.wake():
			err = r.turn(ctx, w)
		}
		timer.Stop()
		if err != nil {
			return due, err
		}
	}
}
