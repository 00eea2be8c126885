package poll

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/RoaringBitmap/roaring/v2"
	"github.com/rs/zerolog"
	"pgregory.net/rapid"

	"github.com/zim-presence/poller/internal/diff"
	"github.com/zim-presence/poller/presence"
)

// heldBook is a book that keeps what is held back too, and lets the seer look on.
type heldBook struct {
	*book
	held  map[uint32]presence.Held
	seer  *seer
	stage *stage
}

// Enroll is that of the book.
func (b *heldBook) Enroll(ctx context.Context, ids []string) ([]presence.State, error) {
	states, err := b.book.Enroll(ctx, ids)
	if err == nil {
		b.seer.enrolled(states)
		b.stage.listed()
	}
	return states, err
}

// Commit is that of the book, and keeps what is held back.
func (b *heldBook) Commit(ctx context.Context, c presence.Changes, sweep int64) error {
	synctest.Wait() // whatever is under way at this moment comes before it
	before := len(b.commits)
	err := b.book.Commit(ctx, c, sweep)
	if len(b.commits) == before {
		return err
	}
	for _, h := range c.Held {
		b.held[h.User.No] = h
	}
	for _, no := range c.Settled {
		delete(b.held, no)
	}
	b.seer.commits(c, b, presence.Instant(time.Now()))
	return err
}

// SaveSnapshot is that of the book.
func (b *heldBook) SaveSnapshot(ctx context.Context, s presence.Snapshot) error {
	synctest.Wait()
	b.seer.snapshot(s, bits(s.Online), bits(s.Known), presence.Instant(time.Now()))
	return b.book.SaveSnapshot(ctx, s)
}

func bits(bitmap []byte) []uint32 {
	b := roaring.New()
	if _, err := b.ReadFrom(bytes.NewReader(bitmap)); err != nil {
		return nil
	}
	return b.ToArray()
}

// memory returns the state as a new term loads it.
func (b *heldBook) memory() *diff.Memory {
	m := diff.New(b.lastSeq)
	for _, s := range slices.SortedFunc(maps.Values(b.users), func(a, b presence.State) int { return cmp.Compare(a.User.No, b.User.No) }) {
		if s.Watched {
			m.Add(s, s.AskedAt)
		}
	}
	for _, no := range slices.Sorted(maps.Keys(b.held)) {
		m.AddHeld(b.held[no])
	}
	return m
}

// mood is what goes on for a while.
type mood struct {
	flap                float64 // that a user changes between two requests
	nonsense            float64 // that a reply calls everybody offline, or many
	fails, absent, ends float64 // that a request brings nothing, that a user is left out, that the asking ends early
	slow                float64 // that asking again takes long
}

var moods = []mood{
	{}, {flap: .02}, {flap: .02, absent: .1}, {flap: .5, absent: .05}, {nonsense: .5, flap: .01}, {nonsense: 1}, {fails: .5, flap: .05}, {fails: 1},
	{nonsense: .5, fails: .3, absent: .1, ends: .05}, {nonsense: 1, slow: .5},
}

// stage is what the recorder meets. Everything that happens on it has a moment of
// its own, so that it is certain what comes before what; what is drawn for it
// depends on the plot alone.
type stage struct {
	mu        sync.Mutex
	seed      uint64
	dice      *rand.Rand // of what has a moment of its own
	seer      *seer
	ids, all  []string // watched now, and everybody there is
	truth     map[string]said
	mood      mood
	moodUntil time.Time
	calm      bool // nothing changes and nothing fails any more
	batch     int
	requests  [2]uint64 // sent by the sweeps, and to ask again
	reading   []string
	faulty    float64 // that a write fails
}

// chances are what is drawn for one request, and the part of a millisecond that
// its moments have.
type chances struct {
	dice *rand.Rand
	own  time.Duration
}

// next draws for the next request of one kind, 0 of a sweep, 1 to ask again.
func (s *stage) next(kind int) chances {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests[kind]++
	n := 2*s.requests[kind] + uint64(kind)
	return chances{rand.New(rand.NewPCG(s.seed, n)), time.Duration(1+n%998) * time.Microsecond}
}

// pause lets some milliseconds pass, and ends at a moment of its own.
func (c chances) pause(ctx context.Context, most int) error {
	until := time.Now().Truncate(time.Millisecond).Add(time.Duration(1+c.dice.IntN(most))*time.Millisecond + c.own)
	timer := time.NewTimer(time.Until(until))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// turn changes the mood when its time is over.
func (s *stage) turn() {
	if s.calm {
		s.mood = mood{}
		return
	}
	if time.Now().Before(s.moodUntil) {
		return
	}
	s.moodUntil = time.Now().Add(time.Duration(1+s.dice.IntN(25)) * time.Second)
	s.mood = moods[s.dice.IntN(len(moods))]
	leave, share := s.dice.IntN(4), s.dice.Float64()
	for _, id := range s.all {
		switch {
		case leave == 0 && s.dice.Float64() < share && s.truth[id].status == presence.Online:
			s.truth[id] = sayings[2+s.dice.IntN(2)]
		case leave == 1 && s.dice.Float64() < share:
			s.truth[id] = sayings[1]
		}
	}
}

// edge is of how many of so many a reply says nonsense: often of all, and else of as
// many as it takes for something to happen, or one less, or one more.
func (s *stage) edge(users int) int {
	at := []int{users, users, users, 10, 50, 25, int(math.Ceil(s.seer.maxShare * float64(users)))}[s.dice.IntN(7)]
	if at == users {
		return users
	}
	return at - 1 + s.dice.IntN(3)
}

// verdict is what a sample of so many is said to be, where it is about to tip.
func (s *stage) verdict(size int) []said {
	offline := []int{(size + 1) / 2, (3*size + 3) / 4}[s.dice.IntN(2)] - 1 + s.dice.IntN(3)
	all := make([]said, size)
	for n := range all {
		all[n] = sayings[1]
		if n < offline {
			all[n] = sayings[2]
		}
	}
	return all
}

// says is what is answered about users now.
func (s *stage) says(users []presence.User, asked time.Time, again bool) presence.Answer {
	a := presence.Answer{AskedAt: presence.Instant(asked), At: presence.Instant(time.Now())}
	nonsense, fails := 0, s.dice.Float64() < s.mood.fails
	if s.dice.Float64() < s.mood.nonsense {
		nonsense = s.edge(len(users))
	}
	var verdict []said
	if size := s.seer.sampleSize(); again && size > 0 && !s.calm && s.dice.IntN(3) == 0 {
		verdict = s.verdict(size)
	}
	for n, u := range users {
		if s.dice.Float64() < s.mood.flap {
			s.truth[u.ID] = sayings[1+s.dice.IntN(3)]
		}
		is := s.truth[u.ID]
		if verdict != nil && s.seer.sampled(u.ID) {
			is = verdict[0]
			verdict = verdict[1:]
		} else if n < nonsense {
			is = said{presence.Offline, presence.NoSession}
		}
		switch {
		case fails:
			a.Missed = append(a.Missed, presence.Miss{User: u, Reason: presence.MissFailed})
		case s.dice.Float64() < s.mood.absent:
			a.Missed = append(a.Missed, presence.Miss{User: u, Reason: presence.MissAbsent})
		default:
			a.Observations = append(a.Observations, presence.Observation{User: u, Status: is.status, Detail: is.detail})
		}
	}
	return a
}

// request asks about users, who are answered in one part or in two.
func (s *stage) request(ctx context.Context, c chances, users []presence.User, answers chan<- presence.Answer, again bool) error {
	for len(users) > 0 {
		asked := time.Now()
		if err := c.pause(ctx, 300); err != nil {
			return err
		}
		s.mu.Lock()
		s.turn()
		part := users
		if s.dice.IntN(4) == 0 && len(users) > 1 {
			part = users[:1+s.dice.IntN(len(users)-1)]
		}
		users = users[len(part):]
		a, ends := s.says(part, asked, again), s.dice.Float64() < s.mood.ends
		s.mu.Unlock()
		if ends {
			return errFault
		}
		s.seer.answered(a, again)
		answers <- a
	}
	return nil
}

// Ask asks in batches, up to three at a time.
func (s *stage) Ask(ctx context.Context, users iter.Seq[presence.User], answers chan<- presence.Answer) (Asked, error) {
	var asking sync.WaitGroup
	var failed error
	room := make(chan struct{}, 3)
	for batch := range slices.Chunk(slices.Collect(users), s.batch) {
		room <- struct{}{}
		chances := s.next(0)
		asking.Go(func() {
			defer func() { <-room }()
			if err := s.request(ctx, chances, batch, answers, false); err != nil {
				s.mu.Lock()
				failed = err
				s.mu.Unlock()
			}
		})
	}
	asking.Wait()
	if err := s.next(0).pause(ctx, 5); err != nil {
		return Asked{}, err
	}
	if failed == nil || !errors.Is(failed, context.Cause(ctx)) {
		s.seer.asksNoMore(presence.Instant(time.Now()))
	}
	return Asked{Requests: 1}, failed
}

// Confirm asks in one batch.
func (s *stage) Confirm(ctx context.Context, users []presence.User, answers chan<- presence.Answer) (Asked, error) {
	s.seer.calls(users, presence.Instant(time.Now()))
	c := s.next(1)
	err := s.dawdle(ctx, c)
	if err == nil {
		err = s.request(ctx, c, slices.Clone(users), answers, true)
	}
	if paused := c.pause(ctx, 20); paused != nil {
		err = paused // the term is over, and perhaps nobody listens any more
	}
	s.seer.called(presence.Instant(time.Now()))
	return Asked{Requests: 1}, err
}

// dawdle passes the time where asking again takes long.
func (s *stage) dawdle(ctx context.Context, c chances) error {
	s.mu.Lock()
	slow := !s.calm && s.dice.Float64() < s.mood.slow
	s.mu.Unlock()
	if !slow {
		return nil
	}
	return c.pause(ctx, 20_000)
}

// Users is the watchlist, which changes now and then, and breaks off.
func (s *stage) Users(ctx context.Context, yield func([]byte) error) (Listed, error) {
	synctest.Wait()
	s.mu.Lock()
	breaks := -1
	if !s.calm {
		switch s.dice.IntN(10) {
		case 0:
			breaks = s.dice.IntN(len(s.ids) + 1)
		case 1, 2:
			s.ids = slices.Clone(s.all)
			s.dice.Shuffle(len(s.ids), func(i, j int) { s.ids[i], s.ids[j] = s.ids[j], s.ids[i] })
			s.ids = s.ids[:len(s.ids)-s.dice.IntN(1+len(s.ids)/3)]
		}
	}
	s.reading = slices.Clone(s.ids)
	s.mu.Unlock()
	for n, id := range s.reading {
		if n == breaks {
			return Listed{}, errFault
		}
		if err := yield([]byte(id)); err != nil {
			return Listed{}, err
		}
	}
	if breaks == len(s.reading) {
		return Listed{}, errFault
	}
	if s.seer.knows(s.reading) {
		s.listed()
	}
	return Listed{}, ctx.Err()
}

// listed tells the seer that the watchlist was read, and who is new taken in.
func (s *stage) listed() { s.seer.listed(s.reading, presence.Instant(time.Now())) }

// script is what is drawn before a run.
type plot struct {
	seed            uint64
	users, batch    int
	every           string
	offline, online time.Duration
	stale, patience time.Duration
	share           float64
	faulty          float64
	terms           []time.Duration
}

func drawPlot(t *rapid.T) plot {
	p := plot{
		seed:     rapid.Uint64().Draw(t, "seed"),
		users:    rapid.SampledFrom([]int{1, 3, 12, 60, 120, 250}).Draw(t, "users"),
		batch:    rapid.SampledFrom([]int{100, 40, 7}).Draw(t, "batch"),
		every:    rapid.SampledFrom([]string{"@every 5s", "@every 1s", "@every 20s", "@every 60s"}).Draw(t, "schedule"),
		offline:  rapid.SampledFrom([]time.Duration{0, time.Second, 4 * time.Second, 30 * time.Second}).Draw(t, "hold offline"),
		online:   rapid.SampledFrom([]time.Duration{0, time.Millisecond, 7 * time.Second}).Draw(t, "hold online"),
		stale:    rapid.SampledFrom([]time.Duration{0, 40 * time.Second, 10 * time.Second, 3 * time.Minute}).Draw(t, "stale after"),
		share:    rapid.SampledFrom([]float64{0, .3, .1, .9}).Draw(t, "share"),
		patience: rapid.SampledFrom([]time.Duration{0, 5 * time.Second, 70 * time.Second}).Draw(t, "patience"),
		faulty:   rapid.SampledFrom([]float64{0, .02}).Draw(t, "faulty"),
	}
	for range rapid.IntRange(0, 3).Draw(t, "terms") {
		p.terms = append(p.terms, time.Duration(rapid.IntRange(1, 150).Draw(t, "lasts"))*time.Second)
	}
	return p
}

// act runs a plot, and returns what went wrong.
func act(p plot) error {
	dice := rand.New(rand.NewPCG(p.seed, 1))
	s := &stage{seed: p.seed, dice: dice, all: names(p.users), truth: map[string]said{}, batch: p.batch, faulty: p.faulty}
	s.ids = s.all
	for _, id := range s.all {
		s.truth[id] = sayings[1+dice.IntN(3)]
		if dice.IntN(4) > 0 {
			s.truth[id] = sayings[1]
		}
	}
	patience := p.patience
	if patience == 0 {
		patience = 30 * time.Second
	}
	s.seer = &seer{
		hold:       map[presence.Status]time.Duration{presence.Offline: p.offline, presence.Online: p.online},
		staleAfter: p.stale, maxShare: p.share, patience: patience, people: map[string]*person{},
	}
	b := &heldBook{book: newBook(), held: map[uint32]presence.Held{}, seer: s.seer, stage: s}
	b.fault = func(string) (bool, error) {
		s.mu.Lock()
		defer s.mu.Unlock()
		if !s.calm && dice.Float64() < s.faulty {
			return dice.IntN(2) == 0, errFault
		}
		return true, nil
	}
	for _, lasts := range p.terms {
		s.play(p, b, lasts)
		if err := cmp2(s.seer.wrong, b.broken); err != nil {
			return err
		}
		time.Sleep(time.Duration(dice.IntN(20)) * time.Second)
	}
	s.calm, s.faulty = true, 0
	s.play(p, b, 3*time.Minute+p.patience+p.offline+p.stale)
	if err := cmp2(s.seer.wrong, b.broken); err != nil {
		return err
	}
	return s.atRest(b)
}

func cmp2(errs ...error) error { return errors.Join(errs...) }

// play is one term.
func (s *stage) play(p plot, b *heldBook, lasts time.Duration) {
	ctx, cancel := context.WithTimeout(context.Background(), lasts)
	defer cancel()
	schedule, err := ParseSchedule(p.every)
	if err != nil {
		panic(err)
	}
	s.seer.begins(b, presence.Instant(time.Now()))
	gated := 0
	r := &Recorder{
		Watchlist: s, Zim: s, Ledger: b, Memory: b.memory(), LastSweep: b.lastSweep, Schedule: schedule, Log: zerolog.Nop(), AllowSuddenDrop: true,
		Hold: diff.Hold{Offline: p.offline, Online: p.online}, StaleAfter: p.stale, MaxOfflineShare: p.share, Patience: p.patience,
		Suppressed: func(got diff.Suppressed) {
			s.seer.moment(presence.Instant(time.Now()))
			s.seer.suppresses(got)
		},
		Incident: func(got Incident) {
			s.seer.moment(presence.Instant(time.Now()))
			s.seer.reports(got)
		},
		Gated: func(n int) { gated = n }, dice: rand.New(rand.NewPCG(p.seed, 0)),
	}
	r.Ended = func(report Report, err error) {
		if ctx.Err() == nil && !errors.Is(err, ErrTermOver) {
			s.seer.swept(report, err, presence.Instant(time.Now()))
		}
		if err == nil && gated != 0 {
			s.seer.fail("%d are said to be gated", gated)
		}
	}
	_ = r.Run(ctx)
	if gated != 0 {
		s.seer.fail("%d are said to be gated when the term is over", gated)
	}
}

// atRest wants that what is told is the truth in the end.
func (s *stage) atRest(b *heldBook) error {
	for _, id := range s.ids {
		row, is := b.users[id], s.truth[id]
		if row.Stale && row.Watched {
			continue // the schedule may be too slow for how old answers may get
		}
		if row.Status != is.status || row.Detail != is.detail || !row.Watched {
			return fmt.Errorf("%s is told as %+v in the end, and is %+v", id, row, is)
		}
	}
	if len(b.held) > 0 {
		return fmt.Errorf("%d changes wait in the end", len(b.held))
	}
	return nil
}

// No event contradicts the truth as it was answered, and none is missing that the
// rules demand: whatever is answered when, whatever fails, and wherever a term ends.
func TestTruth(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		p := drawPlot(rt)
		var err error
		synctest.Test(t, func(*testing.T) { err = act(p) })
		if err != nil {
			rt.Fatalf("%v", err)
		}
	})
}
