package main

import (
	"bufio"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/zim-presence/poller/internal/plan"
)

// print writes the plan for people, in at most 80 columns.
func (r *planned) print(to io.Writer, env map[string]string) error {
	out := bufio.NewWriter(to) // its flush tells every error
	title := fmt.Sprintf("%s, %g requests a second, schedule %s", usersText(r.want.Users), r.app.Rate, r.app.Schedule)
	if r.app.AppID != 0 {
		title = fmt.Sprintf("app %d: %s", r.app.AppID, title)
	}
	for _, line := range wrapped(title, 80) {
		fmt.Fprintln(out, line)
	}
	fmt.Fprintln(out)
	for _, row := range r.rows() {
		fmt.Fprintf(out, "%-24s%s\n", row[0], row[1])
	}
	for _, note := range r.notes() {
		fmt.Fprintln(out)
		for _, line := range wrapped(note, 80) {
			fmt.Fprintln(out, line)
		}
	}
	fmt.Fprintln(out)
	p := planPlot{points: r.curve, here: r.want.Users, ours: r.ours, fits: r.fitUsers, plain: !speaksUTF8(env)}
	for _, line := range p.lines() {
		fmt.Fprintln(out, line)
	}
	return out.Flush()
}

// rows are the lines of the table: what, and how much.
func (r *planned) rows() [][2]string {
	rows := [][2]string{
		{"requests in a sweep", r.requestsText()},
		{"a sweep takes", shortly(r.Sweep)},
		{"each user is asked", "every " + shortly(r.Between.Mean)},
		{"a change is seen after", spanText(r.Seen)},
		{"budget used", percent(r.Budget)},
		{"fits the schedule", "no"},
		{"what would fit", r.fitText()},
	}
	if r.Fits {
		rows[5][1] = "yes"
	}
	if _, longest, uneven := r.uneven(); uneven {
		rows[2][1] += " on average, " + shortly(max(longest, r.Between.Worst)) + " at the most"
	}
	if r.pace.Sweep > 0 {
		rows[1][1] += fmt.Sprintf("; the last one took %s and %s", shortly(r.pace.Took), requestsText(float64(r.pace.Requests)))
	}
	for _, way := range []struct {
		name string
		hold time.Duration
		told plan.Span
	}{{"offline", r.want.HoldOffline, r.Offline}, {"online", r.want.HoldOnline, r.Online}} {
		if way.hold > 0 {
			rows = append(rows, [2]string{way.name + " is told after", fmt.Sprintf("%s, held for %s", spanText(way.told), formatDuration(way.hold))})
		}
	}
	if r.holding() && r.changing {
		rows = append(rows,
			[2]string{"asking again takes", fmt.Sprintf("%s an hour, %s of the budget", requestsText(r.Hold.PerHour), percent(r.Hold.Budget))},
			[2]string{"", fmt.Sprintf("at %s changes an hour", thousands(int(r.want.ChangesPerHour+0.5))) + r.measuredText()})
	}
	return rows
}

// requestsText says how many requests a sweep has, and of how many users. An average of the bytes tells that about only.
func (r *planned) requestsText() string {
	text := thousands(r.Requests) + ", "
	switch {
	case r.Requests == 1:
		return text + "of " + usersText(r.want.Users)
	case r.Batch < r.want.Batch:
		text += "about "
	case r.want.Users%r.Batch != 0:
		text += "up to "
	default:
		text += "of "
	}
	return text + usersText(r.Batch) + " each"
}

// measuredText says over which time the changes were counted.
func (r *planned) measuredText() string {
	if r.measured == 0 {
		return ""
	}
	return ", as counted over the last " + shortly(r.measured)
}

// fitText says what the most users are, the lowest rate and the shortest schedule that fit, each beside the rest as it is.
func (r *planned) fitText() string {
	text := thousands(r.fitUsers) + " users"
	if r.fitUsers > 1_000_000_000 {
		text = "a billion users"
	}
	if r.fitRate > 0 {
		text += ", or a rate of " + thousands(r.fitRate)
	}
	if r.fitEvery > 0 {
		text += ", or @every " + formatDuration(r.fitEvery)
	}
	return text
}

// notes are sentences about what somebody should know.
func (r *planned) notes() (notes []string) {
	shortest, longest, uneven := r.uneven()
	switch {
	case r.BackToBack:
		notes = append(notes, "Sweeps run back to back: each takes longer than the schedule leaves room for.")
	case !r.Fits:
		notes = append(notes, fmt.Sprintf("Some due times are skipped: they are %s to %s apart.", shortly(shortest), shortly(longest)))
	case uneven:
		notes = append(notes, fmt.Sprintf("Due times are %s to %s apart.", shortly(shortest), shortly(longest)))
	}
	switch after, old := r.cfg.StaleAfter, r.Between.Worst+r.want.Latency; {
	case after == 0:
	case after <= old:
		notes = append(notes, fmt.Sprintf("stale_after is %s, and an answer is up to %s old when the next one comes: users will be told as stale between two sweeps.",
			formatDuration(after), shortly(old)))
	case after < 3*r.Between.Worst:
		notes = append(notes, fmt.Sprintf("stale_after is %s, less than three times the %s after which each user is asked again: two sweeps that fail make everybody stale.",
			formatDuration(after), shortly(r.Between.Worst)))
	}
	notes = append(notes, r.doubts()...)
	if r.holding() && !r.changing {
		notes = append(notes, "Give --changes-per-hour to see what the hold costs.")
	}
	if r.invalid > 0 {
		notes = append(notes, fmt.Sprintf("Not among them are %s, about which nobody is asked: poller watch list --invalid.", plural(int64(r.invalid), "invalid id")))
	}
	return notes
}

func spanText(s plan.Span) string {
	return shortly(s.Mean) + " on average, " + shortly(s.Worst) + " at the most"
}

func percent(share float64) string { return fmt.Sprintf("%.1f %%", 100*share) }

func requestsText(n float64) string {
	if n > 0 && n < 0.5 {
		return "less than 1 request"
	}
	text := thousands(int(n + 0.5))
	if text == "1" {
		return "1 request"
	}
	return text + " requests"
}

// shortly is a duration in as many digits as a person wants: tenths below a minute, seconds below an hour, minutes below a
// day, then hours, and days alone from a hundred on.
func shortly(d time.Duration) string {
	switch {
	case d < 100*time.Millisecond:
		return d.Round(time.Millisecond).String()
	case d < time.Minute-50*time.Millisecond:
		return strconv.FormatFloat(d.Round(100*time.Millisecond).Seconds(), 'f', -1, 64) + "s"
	case d < time.Hour-time.Second/2:
		return formatDuration(d.Round(time.Second))
	}
	if d = d.Round(time.Minute); d < day {
		return formatDuration(d)
	}
	d = d.Round(time.Hour)
	days, hours := d/day, d%day/time.Hour
	if hours == 0 || days >= 100 {
		return fmt.Sprintf("%dd", (d+day/2)/day)
	}
	return fmt.Sprintf("%dd%dh", days, hours)
}

// wrapped breaks a text at spaces.
func wrapped(text string, width int) (lines []string) {
	line := ""
	for word := range strings.FieldsSeq(text) {
		if line != "" && len(line)+1+len(word) > width {
			lines, line = append(lines, line), ""
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	return append(lines, line)
}

// speaksUTF8 says whether the terminal shows more than ASCII, as the locale has it.
func speaksUTF8(env map[string]string) bool {
	for _, name := range []string{"LC_ALL", "LC_CTYPE", "LANG"} {
		if value := env[name]; value != "" {
			value = strings.ToLower(value)
			return strings.Contains(value, "utf-8") || strings.Contains(value, "utf8")
		}
	}
	return false
}
