package main

import "fmt"

// suppressed is the newest change that was not told.
func (s *sentences) suppressed() {
	d := s.r.Daemon.Story
	if d == nil || len(d.Suppressed) == 0 {
		return
	}
	last, were := &d.Suppressed[len(d.Suppressed)-1], "were"
	if len(d.Suppressed) == 1 {
		were = "was"
	}
	s.say("%s %s answered lately and not told: %s. The newest, to %s, was seen at %s and dropped at %s: %s.", upper(plural(int64(len(d.Suppressed)), "change")), were,
		countWhys(d.Suppressed), statusWords(last.Status, last.Detail), microOr(last.SeenAt), micro(last.At), suppressedWhy(last.Why))
}

// missed says in how many of the newest sweeps there was no answer.
func (s *sentences) missed() {
	n, nobody := 0, 0
	for i := len(s.r.Sweeps) - 1; i >= 0 && s.r.Sweeps[i].Missed; i-- {
		n++
		if s.r.Sweeps[i].Seen == 0 {
			nobody++
		}
	}
	if n == 0 {
		return
	}
	whom, sweeps, more := "it", "complete sweep", ""
	if n > 1 {
		sweeps = fmt.Sprintf("%d complete sweeps", n)
	}
	switch {
	case nobody == n:
		whom = "anybody"
	case nobody > 0:
		more = fmt.Sprintf("; in %d of them about nobody", nobody)
	}
	s.say("There was no answer about %s in the newest %s%s.", whom, sweeps, more)
}
