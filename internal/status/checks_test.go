package status

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rs/zerolog"
)

// said is what Judge returned, with times as seconds since start.
func said(c *Checks, start time.Time) []string {
	ready, checks := c.Judge()
	lines := []string{fmt.Sprintf("ready %t", ready)}
	for _, k := range checks {
		lines = append(lines, fmt.Sprintf("%s %v since %v", k.Name, k.Err, k.Since.Sub(start).Seconds()))
	}
	return lines
}

func TestChecks(t *testing.T) {
	fault := errors.New("no route")
	for _, c := range []struct {
		name string
		do   func(c *Checks)
		want []string
	}{
		{"none", func(*Checks) {}, []string{"ready false"}},
		{"green", func(c *Checks) { c.Set("a", nil) }, []string{"ready true", "a <nil> since 0"}},
		{"red", func(c *Checks) { c.Set("a", fault) }, []string{"ready false", "a no route since 0"}},
		{"one red, sorted", func(c *Checks) { c.Set("c", nil); c.Set("b", fault); c.Set("a", nil) },
			[]string{"ready false", "a <nil> since 0", "b no route since 0", "c <nil> since 0"}},
		{"green again", func(c *Checks) { c.Set("a", fault); time.Sleep(5 * time.Second); c.Set("a", nil) },
			[]string{"ready true", "a <nil> since 5"}},
		{"red for another reason", func(c *Checks) { c.Set("a", errors.New("x")); time.Sleep(5 * time.Second); c.Set("a", fault) },
			[]string{"ready false", "a no route since 0"}},
		{"green for ever", func(c *Checks) { c.Set("a", nil); time.Sleep(1000 * time.Hour) }, []string{"ready true", "a <nil> since 0"}},
		{"expected", func(c *Checks) { c.Expect("a", 0); c.Set("b", nil) },
			[]string{"ready false", "a has not reported yet since 0", "b <nil> since 0"}},
		{"expected and come", func(c *Checks) {
			c.Expect("a", time.Second)
			said(c, time.Now())
			time.Sleep(time.Second)
			c.Set("a", nil)
		},
			[]string{"ready true", "a <nil> since 1"}},
		{"expected when it is there", func(c *Checks) { c.Set("a", fault); c.Expect("a", time.Minute) },
			[]string{"ready false", "a no route since 0"}},
		{"just fresh", func(c *Checks) { c.Expect("a", 10*time.Second); c.Set("a", nil); time.Sleep(10 * time.Second) },
			[]string{"ready true", "a <nil> since 0"}},
		{"stale", func(c *Checks) { c.Expect("a", 10*time.Second); c.Set("a", nil); time.Sleep(12 * time.Second) },
			[]string{"ready false", "a has not reported for 12s, expected every 10s since 10"}},
		{"stale and red", func(c *Checks) { c.Expect("a", 10*time.Second); c.Set("a", fault); time.Sleep(12 * time.Second) },
			[]string{"ready false", "a no route (reported 12s ago) since 0"}},
		{"stale, then red", func(c *Checks) {
			c.Expect("a", 10*time.Second)
			c.Set("a", nil)
			time.Sleep(12 * time.Second)
			c.Set("a", fault)
		}, []string{"ready false", "a no route since 10"}},
		{"stale, then green", func(c *Checks) {
			c.Expect("a", 10*time.Second)
			c.Set("a", nil)
			time.Sleep(12 * time.Second)
			c.Set("a", nil)
		}, []string{"ready true", "a <nil> since 12"}},
		{"watched", func(c *Checks) {
			due := time.Now().Add(10 * time.Second)
			c.Watch("a", func(now time.Time) error {
				if now.After(due) {
					return fmt.Errorf("overdue by %s", now.Sub(due))
				}
				return nil
			})
			said(c, time.Now())
			time.Sleep(12 * time.Second)
			said(c, time.Now())
			time.Sleep(2 * time.Second)
		}, []string{"ready false", "a overdue by 4s since 12"}},
		{"watched and set", func(c *Checks) { c.Watch("a", func(time.Time) error { return fault }); c.Set("a", nil) },
			[]string{"ready true", "a <nil> since 0"}},
		{"set and watched", func(c *Checks) { c.Set("a", nil); c.Watch("a", func(time.Time) error { return fault }) },
			[]string{"ready false", "a no route since 0"}},
		{"watched by one that sets", func(c *Checks) { c.Watch("a", func(time.Time) error { c.Set("b", nil); return nil }) },
			[]string{"ready true", "a <nil> since 0"}},
		{"removed", func(c *Checks) { c.Set("a", fault); c.Set("b", nil); c.Remove("a"); c.Remove("none") },
			[]string{"ready true", "b <nil> since 0"}},
		{"all removed", func(c *Checks) { c.Set("a", nil); c.Remove("a") }, []string{"ready false"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				start, checks := time.Now(), NewChecks()
				c.do(checks)
				if diff := cmp.Diff(c.want, said(checks, start)); diff != "" {
					t.Errorf("verdicts (-want +got):\n%s", diff)
				}
			})
		})
	}
}

func TestRunTellsChangesOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		checks := NewChecks()
		checks.Expect("later", 0)
		checks.Set("good", nil)
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { checks.Run(ctx, zerolog.New(&log)) })
		time.Sleep(5 * time.Second)
		checks.Set("good", errors.New("first"))
		checks.Set("later", nil)
		time.Sleep(5 * time.Second)
		checks.Set("good", errors.New("second"))
		time.Sleep(5 * time.Second)
		checks.Set("good", nil)
		checks.Set("gone", errors.New("third"))
		time.Sleep(5 * time.Second)
		checks.Remove("gone")
		time.Sleep(5 * time.Second)
		cancel()
		running.Wait()
		want := []string{
			`{"level":"warn","check":"good","error":"first","message":"check is red"}`,
			`{"level":"warn","check":"gone","error":"third","message":"check is red"}`,
			`{"level":"info","check":"good","message":"check is green again"}`,
		}
		if diff := cmp.Diff(want, strings.Split(strings.TrimSpace(log.String()), "\n")); diff != "" {
			t.Errorf("log (-want +got):\n%s", diff)
		}
	})
}

func TestTurning(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		checks, hold := NewChecks(), make(chan struct{})
		state := func(when, want string) {
			t.Helper()
			if got := fmt.Sprint(checks.turning(time.Now())); got != want {
				t.Errorf("%s: got %s, want %s", when, got, want)
			}
		}
		state("before Run", "not started yet")
		var running sync.WaitGroup
		ctx, cancel := context.WithCancel(t.Context())
		running.Go(func() { checks.Run(ctx, zerolog.Nop()) })
		synctest.Wait()
		state("at once", "<nil>")
		time.Sleep(time.Hour + time.Millisecond)
		state("after an hour", "<nil>")
		checks.Watch("hangs", func(time.Time) error { <-hold; return nil })
		time.Sleep(9 * time.Second)
		state("hanging for a while", "<nil>")
		time.Sleep(2 * time.Second)
		state("hanging for long", "stalled: the checks were last judged 11s ago")
		close(hold)
		synctest.Wait()
		state("released", "<nil>")
		cancel()
		running.Wait()
	})
}

func TestManyCheckAtOnce(t *testing.T) {
	checks := NewChecks()
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			name := fmt.Sprint(i % 3)
			for range 200 {
				checks.Expect(name, time.Minute)
				checks.Set(name, nil)
				checks.Watch(name+"w", func(time.Time) error { return nil })
				checks.Judge()
				checks.Remove(name)
			}
		})
	}
	all.Wait()
	checks.Set("last", nil)
	if ready, said := checks.Judge(); !ready {
		t.Errorf("not ready: %v", said)
	}
}
