package chaos

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/zim-presence/poller/presence"
)

const (
	latecomers  = 200
	lateUsers   = 400
	lateDaemons = 2
	lateEvery   = 2 * time.Second         // a fault begins, on average
	lateLasts   = 1500 * time.Millisecond // the longest of it
)

// TestLateSubscribers lets 200 subscribers join at random moments, while users
// flip, and daemons and the NATS server are killed and restarted. Each of them
// follows with package follow and a connection of its own, and keeps what it
// hears. At the end each has to have begun with what the ledger says of that
// moment, and to have heard each event behind it once, in order; who stayed has to
// know everybody as they are.
func TestLateSubscribers(t *testing.T) {
	seed := drawSeed(*pastSeed)
	again := fmt.Sprintf(pastAgain, *pastFor, seed)
	fmt.Printf("late subscribers for %s, seed %d: %s\n", *pastFor, seed, again)
	l := &late{world: &world{apps: 1, rate: rate}, random: rand.New(rand.NewPCG(seed, 4))}
	l.open(t)
	defer l.complainOf(again)
	people := &crowd{w: l.world, users: lateUsers, random: rand.New(rand.NewPCG(seed, 2))}
	people.settle()
	for n := range lateDaemons {
		l.daemons = append(l.daemons, l.newDaemon(n))
		l.daemons[n].start()
	}
	if !l.swept() {
		return
	}
	l.live(people, lateFaults(seed, *pastFor), *pastFor)
	if !l.until("every subscriber has a state", l.allCurrent) || !l.swept() || !l.until("all that is told is heard", l.allHeard) {
		l.part()
		return
	}
	for _, d := range l.daemons {
		d.stop(syscall.SIGTERM)
	}
	l.part()
	l.prove()
}

// lateFaults draws what happens to the daemons and to the NATS server: each of the
// four in turn, so that a short run has them all.
func lateFaults(seed uint64, length time.Duration) (plan []fault) {
	random := rand.New(rand.NewPCG(seed, 5))
	kinds := []string{"NATS: kill -9", "daemon: kill -9", "NATS: restart", "daemon: SIGTERM"}
	for at := time.Duration(0); at < length; at += time.Duration(random.Int64N(int64(2 * lateEvery))) {
		plan = append(plan, fault{
			At: at, Kind: kinds[len(plan)%len(kinds)], On: random.IntN(lateDaemons), For: time.Duration(random.Int64N(int64(lateLasts))),
		})
	}
	return plan
}

// late is a world to which subscribers come late.
type late struct {
	*world
	random  *rand.Rand
	all     []*latecomer
	running sync.WaitGroup
	stop    []context.CancelFunc
}

// live lets users flip, faults be made and subscribers join, until the length is
// over.
func (l *late) live(people *crowd, plan []fault, length time.Duration) {
	ctx, cancel := context.WithCancel(l.t.Context())
	var living sync.WaitGroup
	living.Go(func() { people.live(ctx) })
	url := l.natsURL // it stays the same over restarts
	living.Go(func() { l.join(ctx, url, length) })
	l.strike(plan, length)
	cancel()
	living.Wait()
	l.t.Logf("%d faults, %d flips, %d users added and %d removed", len(plan), people.flips.Load(), people.added.Load(), people.removed.Load())
}

// join lets all of them come, each at a random moment.
func (l *late) join(ctx context.Context, url string, length time.Duration) {
	begun := time.Now()
	moments := make([]time.Duration, latecomers)
	for i := range moments {
		moments[i] = time.Duration(l.random.Int64N(int64(length)))
	}
	slices.Sort(moments)
	for n, at := range moments {
		pause(ctx, time.Until(begun.Add(at))) // who is still to come when the time is over comes then
		// Half of them stay. The others leave after a while, so that there are never
		// too many; and some of all stop in between and go on with what they have.
		s := &latecomer{n: n, stays: n%2 == 0, resumes: n%3 == 0, hears: 50 + l.random.IntN(500)}
		ctx, stop := context.WithCancel(l.t.Context())
		l.all, l.stop = append(l.all, s), append(l.stop, stop)
		l.running.Go(func() { s.follow(ctx, url) })
	}
}

// part lets everybody go.
func (l *late) part() {
	for _, stop := range l.stop {
		stop()
	}
	l.running.Wait()
}

func (l *late) allCurrent() bool {
	return !slices.ContainsFunc(l.all, func(s *latecomer) bool { return !s.current.Load() })
}

// allHeard tells whether who stayed has heard everything. Who has given up will not.
func (l *late) allHeard() bool {
	last := l.count(`select last_seq from apps where app_id = 1`)
	return !slices.ContainsFunc(l.all, func(s *latecomer) bool { return s.stays && s.at.Load() != last && !s.over.Load() })
}

// prove holds what everybody heard against the ledger, and who stayed against the
// truth as well.
func (l *late) prove() {
	book := l.readBook()
	truth, err := l.zim.truth(1)
	if err != nil {
		l.t.Fatal(err)
	}
	standings := map[string]presence.Status{}
	for user, status := range book.at(int64(len(book))) {
		standings[user], _, _ = standing(truth[user])
		if status != standings[user] {
			l.t.Errorf("the ledger ends with %s %s, who is %s", user, status, standings[user])
		}
	}
	if users := l.count(`select count(*) from watched_users`); int(users) != len(standings) {
		l.t.Errorf("the ledger knows %d users, %d are watched", len(standings), users)
	}
	events, stayed := 0, 0
	for _, s := range l.all {
		s.prove(book)
		events += len(s.heard)
		if s.stays {
			stayed++
			if diff := cmp.Diff(standings, watchedOnly(s.state)); diff != "" {
				s.blame("has in the end (-truth +heard):\n%s", diff)
			}
		}
		for _, f := range s.findings[:min(3, len(s.findings))] {
			l.t.Error(f)
		}
	}
	l.t.Logf("%d joined, %d of them stayed to the end; the ledger has %d events, they heard %d", len(l.all), stayed, len(book), events)
}

// newsbook is the ledger: event n is at n - 1.
type newsbook []news

func (l *late) readBook() (book newsbook) {
	rows, err := l.pool.Query(l.t.Context(), `select seq, user_id, to_status from transitions where app_id = 1 order by seq`)
	l.must(err)
	defer rows.Close()
	for rows.Next() {
		var n news
		var word string
		l.must(rows.Scan(&n.seq, &n.user, &word))
		n.to, err = presence.ParseStatus(word)
		l.must(err)
		if n.seq != int64(len(book))+1 {
			l.t.Fatalf("the ledger has event %d behind event %d", n.seq, len(book))
		}
		book = append(book, n)
	}
	l.must(rows.Err())
	return book
}

// at is who was online or offline behind an event.
func (b newsbook) at(seq int64) map[string]presence.Status {
	state := map[string]presence.Status{}
	for _, n := range b[:seq] {
		state[n.user] = n.to
	}
	return watchedOnly(state)
}
