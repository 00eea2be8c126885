package poll

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/zim-presence/poller/presence"
)

const (
	// enrollAtOnce is how many new users one statement takes in.
	enrollAtOnce = 5000
	// commitAtMost bounds what is gathered for one commit: past it the statement
	// gets slower a user, not faster (BenchmarkCommit of the ledger).
	commitAtMost = 5000
	// answersAhead is how many answers may wait while a commit runs.
	answersAhead = 64
)

// Sweep asks about the whole watchlist once and commits what has changed. Its
// number is used up when anything was written under it. An error that wraps
// [ErrTermOver] ends the term; any other leaves everything in order for the
// next sweep, and nobody removed who was not seen to be. Who is gone together
// with most of the others is removed by the second sweep that finds it so.
//
// When ctx ends nothing more is asked; what has been answered is committed.
func (r *Recorder) Sweep(ctx context.Context) (Report, error) {
	r.begin()
	defer r.end()
	return r.sweep(ctx)
}

// sweep is [Recorder.Sweep] within a term that goes on.
func (r *Recorder) sweep(ctx context.Context) (Report, error) {
	r.move(true)
	defer r.move(false)
	s := &sweep{Recorder: r, report: Report{
		Sweep: r.LastSweep + 1, Started: r.now(), Missed: map[presence.MissReason]int{},
	}}
	err := s.run(ctx)
	s.report.missRest()
	s.report.Finished, s.report.Seq, s.report.Held = r.now(), r.Memory.LastSeq(), r.Memory.Held()
	s.log(ctx, err)
	if !errors.Is(err, ErrTermOver) { // the memory fits the ledger
		r.count()
	}
	if r.Ended != nil {
		r.Ended(s.report, err)
	}
	return s.report, err
}

// sweep is one sweep under way. One goroutine owns it.
type sweep struct {
	*Recorder
	report  Report
	missed  []uint32
	gated   map[uint32]struct{} // numbers of users who were answered, and gated
	doubted []uint32            // and of users of whom a gated answer said nothing
}

func (s *sweep) run(ctx context.Context) error {
	if err := s.list(ctx); err != nil {
		return err
	}
	err := s.ask(ctx)
	s.askedOnce()
	if err != nil {
		return err
	}
	if err := s.judgeAge(ctx, s); err != nil {
		return err
	}
	return s.snapshot(ctx)
}

// list brings the memory to the watchlist.
func (s *sweep) list(ctx context.Context) error {
	var fresh []string
	was := s.Memory.Len()
	s.Memory.BeginWatchlist()
	listed, err := s.Watchlist.Users(ctx, func(id []byte) error {
		if s.Memory.Mark(id) {
			return nil
		}
		fresh = append(fresh, string(id))
		if len(fresh) < enrollAtOnce {
			return nil
		}
		err := s.enroll(ctx, fresh)
		fresh = fresh[:0]
		return err
	})
	if err != nil {
		return err
	}
	if err := s.enroll(ctx, fresh); err != nil {
		return err
	}
	if s.holds(was) {
		s.report.RemovalsHeld = s.Memory.Unmarked()
	} else {
		s.report.Removed = s.Memory.EndWatchlist(s.now(), s.report.Sweep)
	}
	if s.Again != nil {
		ids, asOf := s.Again()
		for _, id := range ids {
			s.Memory.TellAgain(id, asOf)
		}
	}
	s.report.Watched, s.report.Listed = s.Memory.Len(), listed
	if s.Recorder.Listed != nil {
		s.Recorder.Listed(s.report)
	}
	return s.commit(ctx)
}

// enroll adds users who are new. It is not broken off: its outcome would not be
// known.
func (s *sweep) enroll(ctx context.Context, ids []string) error {
	if len(ids) == 0 {
		return nil
	}
	states, err := s.Ledger.Enroll(context.WithoutCancel(ctx), ids)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrTermOver, err)
	}
	for _, state := range states {
		s.Memory.Add(state, time.Time{})
	}
	s.report.Added += len(states)
	s.move(true)
	return nil
}

// ask has everybody asked about by one goroutine while this one records, and asks
// again beside it. A commit that fails ends the asking.
func (s *sweep) ask(ctx context.Context) error {
	asking, cancel := context.WithCancel(ctx)
	defer cancel()
	answers := make(chan presence.Answer, answersAhead)
	var asked Asked
	var errAsk error
	go func() {
		defer close(answers)
		asked, errAsk = s.Zim.Ask(asking, s.Memory.Users(), answers)
	}()
	errRecord := s.record(ctx, answers)
	if errRecord != nil {
		cancel()
		for range answers { // what was answered meanwhile is dropped with the memory
		}
	}
	s.report.Asked = asked
	switch rest := s.report.rest(); {
	case errRecord != nil:
		return errRecord
	case errAsk == nil && rest > 0 && ctx.Err() != nil:
		return context.Cause(ctx) // before it was decided about who is gated
	case errAsk == nil && rest > 0:
		// A snapshot would say of them that they were seen.
		return fmt.Errorf("%d of %d users are in no answer", rest, s.report.Watched)
	}
	return errAsk
}

// record records the answers until there are no more, and what goes on beside them.
// It ends when it is decided about whoever is gated, or when ctx ends.
func (s *sweep) record(ctx context.Context, answers <-chan presence.Answer) (err error) {
	err = s.decide(ctx, s) // the watchlist may have left nobody to decide about
	var over <-chan struct{}
	var answered time.Time // everybody
	for open := true; (open || s.undecided()) && err == nil; {
		var answer presence.Answer
		select {
		case answer, open = <-answers:
			if open {
				err = s.gather(ctx, answer, answers)
			} else {
				answers, over = nil, ctx.Done()
				if s.undecided() {
					answered = s.now()
				}
			}
		case <-over:
			return nil
		case settings := <-s.Change:
			err = s.change(ctx, s, settings)
		case again, more := <-s.lane.answers():
			err = s.hear(ctx, s, again, more)
		case <-s.hints():
			err = s.turn(ctx, s)
		case <-s.wake():
			err = s.turn(ctx, s)
		}
	}
	if !answered.IsZero() {
		s.report.Waited = s.now().Sub(answered)
	}
	return err
}

// gather records an answer and those that are there already, and commits them. They
// are of one asking, so no user is in two of them.
func (s *sweep) gather(ctx context.Context, answer presence.Answer, answers <-chan presence.Answer) error {
	for more := true; more; {
		if err := s.observe(ctx, answer); err != nil {
			return err
		}
		if more = s.Memory.Pending() < commitAtMost; more {
			answer, more = next(answers)
		}
	}
	return s.commit(ctx)
}

// next returns an answer that is there already.
func next(answers <-chan presence.Answer) (presence.Answer, bool) {
	select {
	case answer, open := <-answers:
		return answer, open
	default:
		return presence.Answer{}, false
	}
}

func (s *sweep) observe(ctx context.Context, answer presence.Answer) error {
	if err := s.believe(ctx, s, answer, false); err != nil {
		return err
	}
	s.count(answer, false)
	for _, m := range answer.Missed {
		s.report.Missed[m.Reason]++
		s.missed = append(s.missed, m.User.No)
	}
	s.move(true)
	if s.Progress != nil {
		s.Progress(s.report)
	}
	return s.decide(ctx, s)
}

func (s *sweep) snapshot(ctx context.Context) error {
	online, known, err := s.Memory.Bitmaps()
	if err != nil {
		return fmt.Errorf("%w: %w", ErrTermOver, err)
	}
	slices.Sort(s.missed)
	err = s.Ledger.SaveSnapshot(context.WithoutCancel(ctx), presence.Snapshot{
		Sweep: s.report.Sweep, Started: s.report.Started, Finished: s.now(), Seq: s.Memory.LastSeq(),
		Online: online, Known: known, Missed: s.missed,
		Watched: s.report.Watched, Seen: s.report.Seen, Transitions: s.report.Transitions, Requests: s.report.Requests,
	})
	if err != nil {
		return fmt.Errorf("%w: %w", ErrTermOver, err)
	}
	s.LastSweep, s.report.Complete = s.report.Sweep, true
	return nil
}

// log writes the one line of the sweep.
func (s *sweep) log(ctx context.Context, err error) {
	line := s.Log.Info()
	if err != nil && ctx.Err() == nil {
		line = s.Log.Warn().Err(err)
	} else if err != nil {
		line = line.AnErr("cause", err)
	}
	if s.report.Failure != nil {
		line = line.AnErr("failure", s.report.Failure)
	}
	if s.report.Held > 0 {
		line = line.Int("held", s.report.Held)
	}
	if s.report.RemovalsHeld > 0 {
		line = line.Int("removals_held", s.report.RemovalsHeld)
	}
	line.Int64("sweep", s.report.Sweep).Int("watched", s.report.Watched).Int("seen", s.report.Seen).
		Int("missed", s.report.MissedTotal()).Int("added", s.report.Added).Int("removed", s.report.Removed).
		Int("transitions", s.report.Transitions).Int("requests", s.report.Requests).Int64("seq", s.report.Seq).
		Dur("elapsed", s.report.Finished.Sub(s.report.Started)).Msg("sweep ended")
}
