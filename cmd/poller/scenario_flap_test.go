package main

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/zim-presence/poller/internal/zimsim"
)

// playFlapping has users go and come back within seconds, and others go for long: with
// a hold, and in full length, beside it, with none.
func playFlapping(t *testing.T, sheet *sheet) {
	const name = "flapping"
	hold := inFull(2*time.Second, 10*time.Second)
	held, free := newFlock(t, hold), (*flock)(nil)
	var both sync.WaitGroup
	if *scenariosLong {
		free = newFlock(t, 0)
		both.Go(free.flap)
	}
	held.flap()
	both.Wait()
	with := held.judge()
	suppressed := held.suppressed
	early := 0
	for _, h := range held.news() {
		if h.kind == "offline" && h.confirmedAt.Sub(h.observedAt) < hold {
			early++
		}
	}
	sheet.figure(t, name, "true changes of who flaps, and absences of who leaves", fmt.Sprintf("%d, %d", with.flaps, with.absences), "many", with.flaps > 4*with.absences)
	sheet.figure(t, name, "long absences that were not told, with a hold", fmt.Sprint(with.untold), "0", with.untold == 0)
	sheet.figure(t, name, "offline events told before the hold was over", fmt.Sprint(early), "0", early == 0)
	sheet.figure(t, name, "changes that were held and not told, as counted", fmt.Sprint(suppressed), "over 0", suppressed > 0)
	if free == nil {
		return
	}
	without := free.judge()
	sheet.figure(t, name, "long absences that were not told, without", fmt.Sprint(without.untold), "0", without.untold == 0)
	sheet.figure(t, name, "events about who flaps, without a hold and with one of "+hold.String(), fmt.Sprintf("%d, %d", without.noise, with.noise), "a tenth", with.noise*10 <= without.noise)
	sheet.figure(t, name, "from absence to event without a hold, half and worst", fmt.Sprintf("%s, %s", quantile(without.delays, 0.5), quantile(without.delays, 1)), "told", true)
	sheet.figure(t, name, "with one", fmt.Sprintf("%s, %s", quantile(with.delays, 0.5), quantile(with.delays, 1)), "told", true)
	added := quantile(with.delays, 0.5) - quantile(without.delays, 0.5)
	sheet.figure(t, name, "delay that the hold adds, half", added.String(), "at most 2 s over the hold", added <= hold+2*time.Second)
	p := plot{
		file: "flapping.svg", title: "Users who flap, told at once and with a hold of " + hold.String(), x: "seconds", y: "offline events",
		series: []series{
			{name: "users who went offline", colour: grey, steps: true, points: held.truth()},
			adds(offline(free.news()), free.trial, "told without a hold", orange),
			adds(offline(held.news()), held.trial, "told with it", blue),
		},
	}
	p.write(t, *scenariosDocs)
}

// flock is a trial in which some flap and some leave.
type flock struct {
	*trial
	flappers, leavers []string
	random            *rand.Rand
	suppressed        int
}

func newFlock(t *testing.T, hold time.Duration) *flock {
	f := &flock{
		trial:  newTrial(t, inFull(200, 1500), "POLLER_HOLD_OFFLINE="+hold.String(), "POLLER_SCHEDULE=@every "+inFull("1s", "2s")),
		random: rand.New(rand.NewPCG(5, 5)), // the same for each
	}
	online := f.online()
	f.flappers, f.leavers = online[:len(online)/3], online[len(online)/3:len(online)/3+len(online)/10]
	return f
}

// flap lets time pass. Who flaps is away for less than the hold; who leaves is away to
// the end, long enough to be asked about again.
func (f *flock) flap() {
	length, longest := inFull(8*time.Second, time.Minute), inFull(1200*time.Millisecond, 7*time.Second)
	next := map[string]time.Duration{} // when somebody turns
	away := map[string]bool{}
	for _, id := range f.flappers {
		next[id] = f.draw(length / 2)
	}
	for _, id := range f.leavers {
		next[id] = f.draw(length * 2 / 3)
	}
	f.began = time.Now()
	for now := time.Duration(0); now < length; now = time.Since(f.began) {
		turned := map[string]zimsim.State{}
		for _, id := range f.leavers {
			if !away[id] && next[id] <= now {
				away[id], turned[id] = true, zimsim.Timeout
			}
		}
		for _, id := range f.flappers {
			if next[id] > now {
				continue
			}
			if away[id] = !away[id]; away[id] {
				turned[id], next[id] = zimsim.Timeout, now+longest/5+f.draw(longest*4/5)
			} else {
				turned[id], next[id] = zimsim.Online, now+longest+f.draw(longest*3)
			}
		}
		if len(turned) > 0 {
			f.set(turned)
		}
		f.lasts(50 * time.Millisecond)
	}
	f.turn(f.flappers, zimsim.Online)
	f.settle()
	f.suppressed = int(f.metric(f.daemon, `poller_suppressed_changes_total{why="hold"}`))
	f.prove()
}

func (f *flock) draw(below time.Duration) time.Duration {
	return time.Duration(f.random.Int64N(int64(below)))
}

// flown is what came of it.
type flown struct {
	flaps, absences int             // true changes of who flaps, of who leaves
	noise           int             // events about who flaps
	untold          int             // absences of who left that were not told
	delays          []time.Duration // of the others
}

func (f *flock) judge() (sum flown) {
	for _, c := range f.history() {
		if slices.Contains(f.flappers, c.User) {
			sum.flaps++
		} else {
			sum.absences++
		}
	}
	var left []tiding
	for _, h := range f.news() {
		if slices.Contains(f.flappers, h.user) {
			sum.noise++
		} else {
			left = append(left, h)
		}
	}
	sum.delays = f.delays("offline", f.leavers)
	sum.untold = sum.absences - len(sum.delays)
	if len(left) != len(f.leavers) {
		f.t.Errorf("%d events about %d users who left", len(left), len(f.leavers))
	}
	return sum
}

// truth adds up who went offline, as the history has it.
func (f *flock) truth() (points []point) {
	n := 0
	for _, c := range f.history() {
		if c.To != zimsim.Online {
			n++
			points = append(points, point{f.seconds(c.At), float64(n)})
		}
	}
	return points
}

func offline(news []tiding) (some []tiding) {
	for _, h := range news {
		if h.kind == "offline" {
			some = append(some, h)
		}
	}
	return some
}
