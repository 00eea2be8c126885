package poll

import (
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func parse(t *testing.T, spec string) Schedule {
	t.Helper()
	s, err := ParseSchedule(spec)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestScheduleNext(t *testing.T) {
	at := func(s string) time.Time {
		parsed, err := time.Parse(time.RFC3339, s)
		if err != nil {
			t.Fatal(err)
		}
		return parsed
	}
	for _, c := range []struct{ spec, now, want string }{
		{"* * * * *", "2026-11-23T09:00:30Z", "2026-11-23T09:01:00Z"},
		{"*/10 * * * * *", "2026-11-23T09:00:31Z", "2026-11-23T09:00:40Z"},
		{"@every 30s", "2026-11-23T09:00:07Z", "2026-11-23T09:00:37Z"},
		{"@every 1h30m", "2026-11-23T09:00:00Z", "2026-11-23T10:30:00Z"},
		{"@hourly", "2026-11-23T09:00:07Z", "2026-11-23T10:00:00Z"},
		{"0 8 * * *", "2026-11-23T09:00:00+05:00", "2026-11-23T08:00:00Z"},
		{"CRON_TZ=Asia/Shanghai 0 8 * * *", "2026-11-23T09:00:00Z", "2026-11-24T00:00:00Z"},
		{" CRON_TZ=UTC   @daily ", "2026-11-23T09:00:00Z", "2026-11-24T00:00:00Z"},
		// In the night in which 02:30 does not come the sweep is left out; in the
		// night in which it comes twice there are two.
		{"CRON_TZ=Europe/Berlin 30 2 * * *", "2026-03-28T12:00:00Z", "2026-03-30T00:30:00Z"},
		{"CRON_TZ=Europe/Berlin 30 2 * * *", "2026-10-24T12:00:00Z", "2026-10-25T00:30:00Z"},
		{"CRON_TZ=Europe/Berlin 30 2 * * *", "2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z"},
		{"0 0 29 2 *", "2026-11-23T09:00:00Z", "2028-02-29T00:00:00Z"},
	} {
		if got := parse(t, c.spec).Next(at(c.now)); !got.Equal(at(c.want)) {
			t.Errorf("%q after %s = %s, want %s", c.spec, c.now, got.UTC().Format(time.RFC3339), c.want)
		}
	}
}

func TestScheduleRefuses(t *testing.T) {
	for spec, want := range map[string]string{
		"":                           "no fields",
		"   ":                        "no fields",
		"TZ=UTC":                     "CRON_TZ=",
		"TZ=UTC * * * * *":           "CRON_TZ=",
		"CRON_TZ=UTC":                "no fields",
		"CRON_TZ=":                   "no such time zone",
		"CRON_TZ= * * * * *":         "no such time zone",
		"CRON_TZ=Mars/One * * * * *": "no such time zone",
		"CRON_TZ=Local * * * * *":    "no such time zone",
		"@every 500ms":               "at least 1s",
		"@every 0s":                  "at least 1s",
		"@every -5s":                 "at least 1s",
		"@every 1500ms":              "whole seconds",
		"@every":                     "needs a duration",
		"@every soon":                "needs a duration",
		"@everyday":                  "needs a duration",
		"@sometimes":                 "unrecognized",
		"0 0 31 2 *":                 "no such date",
		"* * * *":                    "expected 5 to 6 fields",
		"* * * * * * *":              "expected 5 to 6 fields",
		"61 * * * *":                 "above maximum",
	} {
		_, err := ParseSchedule(spec)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("ParseSchedule(%q) = %v, want it to say %q", spec, err, want)
		}
	}
}

// One due time that falls into a sweep is kept, further ones are skipped and
// counted, and none is lost between the two.
func TestAfterKeepsOneDueTime(t *testing.T) {
	every := parse(t, "@every 10s")
	start := time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		lasted  time.Duration
		next    time.Duration
		skipped int
	}{
		{0, 10 * time.Second, 0}, {9 * time.Second, 10 * time.Second, 0}, {10 * time.Second, 10 * time.Second, 0},
		{19 * time.Second, 10 * time.Second, 0}, {20 * time.Second, 20 * time.Second, 1}, {47 * time.Second, 40 * time.Second, 3},
	} {
		next, skipped := every.after(start, start.Add(c.lasted))
		if next.Sub(start) != c.next || skipped != c.skipped {
			t.Errorf("a sweep of %s: next due after %s, %d skipped; want %s, %d", c.lasted, next.Sub(start), skipped, c.next, c.skipped)
		}
	}
}

func TestEveryDueTimeIsStartedForOrCounted(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, err := ParseSchedule(rapid.SampledFrom([]string{"@every 1s", "@every 7s", "*/5 * * * * *", "* * * * *"}).Draw(t, "spec"))
		if err != nil {
			t.Fatal(err)
		}
		start := time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)
		due, now, started, skipped := start, start, 0, 0
		for _, lasted := range rapid.SliceOfN(rapid.IntRange(0, 100_000), 1, 20).Draw(t, "sweeps ms") {
			now = now.Add(time.Duration(lasted) * time.Millisecond)
			next, n := s.after(due, now)
			if !next.After(due) {
				t.Fatalf("due %s follows %s", next, due)
			}
			skipped += n
			due = next
			started++
			if due.After(now) {
				now = due // waits
			}
		}
		all := 0
		for d := s.Next(start); !d.After(due); d = s.Next(d) {
			all++
		}
		if started+skipped != all {
			t.Errorf("%d started and %d skipped of %d due times", started, skipped, all)
		}
	})
}
