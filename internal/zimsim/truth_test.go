package zimsim

import (
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// Every answer agrees with the history at some instant between asking and hearing, whoever changes what meanwhile.
func TestAnswersAgreeWithTruth(t *testing.T) {
	for name, living := range map[string]*Living{"scripted": nil, "living": {Users: 20, Speed: 20000, Session: time.Minute, Away: time.Minute, Hour: 16}} {
		t.Run(name, func(t *testing.T) {
			s := start(t, func(c *Config) { c.Apps[0].Living = living })
			users := []string{UserName(1), UserName(2), UserName(3)}
			_, first := s.App(0).Truth()
			if living == nil {
				first = map[string]State{}
			} else {
				// The history since the start leads back to the states at the start.
				changes, _ := s.App(0).Changes(0)
				for i := len(changes) - 1; i >= 0; i-- {
					first[changes[i].User] = changes[i].From
				}
			}
			type heard struct {
				from, to time.Time
				said     map[string]string
			}
			var mu sync.Mutex
			var all []heard
			var wait sync.WaitGroup
			for range 4 {
				wait.Go(func() {
					client := browser(t)
					for range 100 {
						from := s.clock.at(s.clock.elapsed())
						r, err := tryAsk(client, s.URL(), valid(users...).String())
						if err != nil {
							t.Error(err)
							return
						}
						decode(t, &r)
						mu.Lock()
						all = append(all, heard{from, s.clock.at(s.clock.elapsed()), r.said()})
						mu.Unlock()
					}
				})
			}
			if living == nil {
				wait.Go(func() {
					d := dice{}
					for range 300 {
						s.App(0).SetAll(map[string]State{users[d.below(3)]: State(d.below(3)), users[d.below(3)]: State(d.below(3))})
					}
				})
			}
			wait.Wait()
			changes, dropped := s.App(0).Changes(0)
			if dropped > 0 || len(changes) == 0 {
				t.Fatalf("%d changes, %d dropped", len(changes), dropped)
			}
			for _, h := range all {
				if !agrees(first, changes, users, h.from, h.to, h.said) {
					t.Errorf("between %v and %v nobody was %v", h.from, h.to, h.said)
				}
			}
		})
	}
}

// agrees says whether the users were as said, all at once, at some instant of the interval.
func agrees(first map[string]State, changes []Change, users []string, from, to time.Time, said map[string]string) bool {
	word := map[State]string{Online: "Online", Timeout: "Offline", LoggedOut: "660200001"}
	states := map[string]string{}
	for _, u := range users {
		states[u] = word[first[u]]
	}
	for i := 0; ; i++ {
		next := to.Add(time.Hour)
		if i < len(changes) {
			next = changes[i].At
		}
		if next.After(from) && cmp.Equal(states, said) {
			return true
		}
		if next.After(to) {
			return false
		}
		if _, asked := states[changes[i].User]; asked {
			states[changes[i].User] = word[changes[i].To]
		}
	}
}

// Users that always change together are never seen apart.
func TestOneInstant(t *testing.T) {
	s := start(t, func(c *Config) { c.Apps[0].History = -1 })
	ids := many(100)
	together := func(state State) {
		states := map[string]State{}
		for _, id := range ids {
			states[id] = state
		}
		if _, err := s.App(0).SetAll(states); err != nil {
			t.Error(err)
		}
	}
	done := make(chan struct{})
	var askers, setter sync.WaitGroup
	setter.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-done:
				return
			default:
				together(State(i % 3))
			}
		}
	})
	for range 4 {
		askers.Go(func() {
			client := browser(t)
			for range 100 {
				r, err := tryAsk(client, s.URL(), valid(ids...).String())
				if err != nil {
					t.Error(err)
					return
				}
				decode(t, &r)
				words := map[string]bool{}
				for _, word := range r.said() {
					words[word] = true
				}
				if len(words) != 1 {
					t.Errorf("got %v in one answer", words)
				}
			}
		})
	}
	askers.Wait()
	close(done)
	setter.Wait()
}
