package zim

import (
	"errors"
	"testing"
	"time"
)

// The breaker on a clock of its own: what fails in a row opens it, a reply closes
// it, and one probe at a time goes, after longer and longer pauses.
func TestBreaker(t *testing.T) {
	errDead := errors.New("dead")
	type step struct {
		what string
		n    int           // how often; 0 for once
		at   time.Duration // since the start; of a request: when it ended
		sent time.Duration
		open bool // behind it
	}
	for name, steps := range map[string][]step{
		"19 are not enough":      {{what: "bad", n: 19}},
		"20 are":                 {{what: "bad", n: 20, open: true}},
		"a reply between":        {{what: "bad", n: 19}, {what: "good", sent: 1}, {what: "bad", n: 19, sent: 2}},
		"every second one":       {{what: "bad", n: 1}, {what: "good"}, {what: "bad", n: 19}, {what: "good"}, {what: "bad", n: 19}},
		"a connect that is slow": {{what: "sure", open: true}},
		"slow, but others went well since it began": {
			{what: "good", sent: 5, at: 6}, {what: "sure", sent: 4, at: 10},
		},
		"left before the last that went well": {
			{what: "good", sent: 5, at: 6}, {what: "bad", n: 100, sent: 4, at: 10}, {what: "bad", n: 20, sent: 5, at: 11, open: true},
		},
		"a reply closes it": {{what: "bad", n: 20, open: true}, {what: "good", sent: 1}, {what: "bad", n: 19, sent: 2}},
		"no probe before its time": {
			{what: "bad", n: 20, open: true}, {what: "held", at: time.Second - 1, open: true}, {what: "probe", at: time.Second, open: true},
		},
		"one probe at a time": {
			{what: "bad", n: 20, open: true}, {what: "probe", at: time.Second, open: true}, {what: "held", at: time.Hour, open: true},
			{what: "leave", open: true}, {what: "probe", at: time.Hour, open: true},
		},
		"failures of others do not put off the probe": {
			{what: "bad", n: 20, open: true}, {what: "bad", n: 100, at: time.Second - 1, open: true}, {what: "probe", at: time.Second, open: true},
		},
		"pauses grow to half a minute": {
			{what: "bad", n: 20, open: true},
			{what: "probe", at: 1 * time.Second, open: true}, {what: "bad probe", at: 1 * time.Second, open: true},
			{what: "held", at: 3*time.Second - 1, open: true}, {what: "probe", at: 3 * time.Second, open: true}, {what: "bad probe", at: 3 * time.Second, open: true},
			{what: "probe", at: 7 * time.Second, open: true}, {what: "bad probe", at: 7 * time.Second, open: true},
			{what: "probe", at: 15 * time.Second, open: true}, {what: "bad probe", at: 15 * time.Second, open: true},
			{what: "probe", at: 31 * time.Second, open: true}, {what: "bad probe", at: 31 * time.Second, open: true},
			{what: "held", at: 61*time.Second - 1, open: true}, {what: "probe", at: 61 * time.Second, open: true}, {what: "bad probe", at: 61 * time.Second, open: true},
			{what: "held", at: 91*time.Second - 1, open: true}, {what: "probe", at: 91 * time.Second, open: true}, {what: "good", sent: 91 * time.Second},
			{what: "bad", n: 20, sent: 92 * time.Second, at: 92 * time.Second, open: true}, // and begin anew
			{what: "leave", open: true},
			{what: "held", at: 93*time.Second - 1, open: true}, {what: "probe", at: 93 * time.Second, open: true},
		},
		"who is in a hurry asks at once, and alone": {
			{what: "bad", n: 20, open: true}, {what: "hurry", open: true}, {what: "probe", open: true}, {what: "hurry", open: true}, {what: "held", open: true},
		},
	} {
		t.Run(name, func(t *testing.T) {
			var told []bool
			b := newBreaker(func(o *OutageError) { told = append(told, o != nil) })
			b.jitter = func() float64 { return 0.5 }
			start, was := time.Now(), false
			for i, s := range steps {
				at, sent := start.Add(s.at), start.Add(s.sent)
				for range max(1, s.n) {
					switch s.what {
					case "bad", "sure", "bad probe":
						b.bad(sent, at, s.what == "bad probe", s.what == "sure", errDead)
						if s.what == "bad probe" {
							b.leave()
						}
					case "good":
						b.good(sent)
						b.leave()
					case "leave":
						b.leave()
					case "hurry":
						b.hurry()
					default:
						if e := b.enter(at); e.probe != (s.what == "probe") || e.outage == nil {
							t.Fatalf("step %d, %+v: got %+v", i, s, e)
						}
					}
				}
				o := b.down()
				if (o != nil) != s.open || s.open && !errors.Is(o, errDead) {
					t.Fatalf("step %d, %+v: got %v", i, s, o)
				}
				if s.open != was {
					if len(told) == 0 || told[0] != s.open {
						t.Fatalf("step %d, %+v: told %v", i, s, told)
					}
					told, was = told[1:], s.open
				}
			}
			if len(told) > 0 {
				t.Errorf("told %v without a reason", told)
			}
		})
	}
}

// Since when: the first of the row that failed.
func TestOutageKnowsItsBeginning(t *testing.T) {
	b := newBreaker(func(*OutageError) {})
	start := time.Now()
	b.good(start)
	for i := range opensAfter {
		b.bad(start.Add(time.Duration(i+1)*time.Second), start.Add(time.Hour), false, false, errors.New("first"))
	}
	b.bad(start.Add(time.Hour), start.Add(time.Hour), true, false, errors.New("newest"))
	if o := b.down(); o == nil || !o.Since.Equal(start.Add(time.Second)) || o.Err.Error() != "newest" {
		t.Errorf("got %v, want since %s", o, start.Add(time.Second))
	}
}

// Where half of all fails, at random, nothing is held up: 20 in a row are one in a
// million. Here every one of 19 fails, which is as near as can be.
func TestBrownOutIsNoOutage(t *testing.T) {
	b := newBreaker(func(o *OutageError) { t.Errorf("told %v", o) })
	start := time.Now()
	for i := range 10_000 {
		at := start.Add(time.Duration(i) * time.Millisecond)
		if i%opensAfter == 0 {
			b.good(at)
		} else {
			b.bad(at, at, false, false, errors.New("brown"))
		}
	}
}
