package poll

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/robfig/cron/v3"
)

// Schedule says when sweeps are due.
type Schedule struct{ cron cron.Schedule }

// ParseSchedule reads a cron expression of 5 or 6 fields (the sixth, in front,
// for seconds), a word such as @hourly, or @every with a duration of whole
// seconds, at least one. Times are UTC unless the expression begins with
// CRON_TZ= and the name of a zone. What the cron library would misread, panic
// over or never start is refused.
func ParseSchedule(spec string) (Schedule, error) {
	expression, zone := strings.TrimSpace(spec), "UTC"
	if strings.HasPrefix(expression, "TZ=") {
		return Schedule{}, fmt.Errorf("schedule %q: write CRON_TZ= for the time zone", spec)
	}
	if rest, named := strings.CutPrefix(expression, "CRON_TZ="); named {
		zone, expression, _ = strings.Cut(rest, " ")
		expression = strings.TrimSpace(expression)
	}
	if _, err := time.LoadLocation(zone); err != nil || zone == "" || zone == "Local" {
		return Schedule{}, fmt.Errorf("schedule %q: no such time zone: %q", spec, zone)
	}
	if expression == "" {
		return Schedule{}, fmt.Errorf("schedule %q: no fields", spec)
	}
	if err := checkEvery(expression); err != nil {
		return Schedule{}, fmt.Errorf("schedule %q: %w", spec, err)
	}
	parser := cron.NewParser(cron.SecondOptional | cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow | cron.Descriptor)
	parsed, err := parser.Parse("CRON_TZ=" + zone + " " + expression)
	if err != nil {
		return Schedule{}, fmt.Errorf("schedule %q: %w", spec, err)
	}
	s := Schedule{parsed}
	if s.Next(time.Now()).IsZero() {
		return Schedule{}, fmt.Errorf("schedule %q: there is no such date", spec)
	}
	return s, nil
}

// checkEvery refuses durations that the library silently turns into others.
func checkEvery(expression string) error {
	every, isEvery := strings.CutPrefix(expression, "@every")
	if !isEvery {
		return nil
	}
	d, err := time.ParseDuration(strings.TrimSpace(every))
	switch {
	case err != nil:
		return errors.New("@every needs a duration such as 30s")
	case d < time.Second:
		return errors.New("@every needs at least 1s")
	case d%time.Second != 0:
		return errors.New("@every needs whole seconds")
	}
	return nil
}

// Next returns the first due time after t.
func (s Schedule) Next(t time.Time) time.Time { return s.cron.Next(t) }

// mostCounted bounds how many missed due times are counted one by one.
const mostCounted = 100_000

// after plans what follows a sweep. due is the due time that it was started
// for. If due times fell into it the last of them is kept, and is started for
// at once; the others are skipped.
func (s Schedule) after(due, now time.Time) (next time.Time, skipped int) {
	next = s.Next(due)
	for range mostCounted {
		following := s.Next(next)
		if following.After(now) {
			return next, skipped
		}
		next = following
		skipped++
	}
	return now, skipped
}

// cause is why due times were skipped. without is how many would have been anyway, had
// the sweep not waited for an incident to be decided; failure and err are the sweep's.
func cause(skipped, without int, failure, err error) string {
	switch {
	case 2*without < skipped:
		return "incident"
	case failure != nil || err != nil:
		return "outage"
	}
	return "budget"
}
