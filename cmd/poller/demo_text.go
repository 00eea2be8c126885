package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/zim-presence/poller/presence"
)

// clockFormat is how times of the day are shown.
const clockFormat = "15:04:05.000"

// wideEvent is the width from which an event's line says all that there is.
const wideEvent = 100

// aboutText says what the demo plays, without saying where.
func aboutText(b bill) string {
	return fmt.Sprintf("app %d, %s users at %gx real time, %s, %d requests a second",
		b.App, thousands(b.Users), b.Speed, b.Schedule, b.Rate)
}

// commandLine is a command in one line.
func commandLine(words []string) string { return strings.Join(words, " ") }

// commandLines is a command in lines that fit the width, broken so that a shell
// reads them as one. Where a word alone is too long the line is.
func commandLines(words []string, width int) []string {
	if one := commandLine(words); len(one) <= width {
		return []string{one}
	}
	var lines []string
	for i, word := range words {
		if i > 0 {
			word = "  " + word
		}
		if i < len(words)-1 {
			word += ` \`
		}
		lines = append(lines, word)
	}
	return lines
}

// eventText is one event in a line without colour.
func eventText(e heardEvent, width int) string {
	return e.At.Local().Format(clockFormat) + "  " + fmt.Sprintf("%-8s", e.Kind) + "  " + eventDetails(e, width)
}

// eventDetails is the line behind the kind.
func eventDetails(e heardEvent, width int) string {
	told := millis(e.At.Sub(e.ObservedAt))
	if width < wideEvent {
		return fmt.Sprintf("%-12s %s, told in %s", e.User.ID, whenText(e), told)
	}
	what := fmt.Sprintf("%s to %s", e.From, e.To)
	if e.Detail != presence.NoDetail {
		what += " (" + strings.ReplaceAll(e.Detail.String(), "_", " ") + ")"
	}
	return fmt.Sprintf("%-12s %-32s %-28s told in %-7s #%d", e.User.ID, what, whenText(e), told, e.Seq)
}

// whenText is the interval in which the change happened.
func whenText(e heardEvent) string {
	if e.After.IsZero() {
		return "first answer: " + e.To.String()
	}
	return fmt.Sprintf("in the %s before", seconds(e.ObservedAt.Sub(e.After)))
}

// endedText says what a sweep has come to.
func endedText(s sweepNews) string {
	text := fmt.Sprintf("sweep %d  %s of %s seen, %s missed, %s changes, %d requests, %s",
		s.Number, thousands(s.Seen), thousands(s.Watched), thousands(s.Missed), thousands(s.Transitions), s.Requests,
		seconds(s.Finished.Sub(s.Started)))
	if !s.Complete {
		text += " (broken off)"
	}
	return text
}

// partingText says what the whole demo has come to.
func partingText(n news) string {
	events := 0
	for _, count := range n.Told.Events {
		events += count
	}
	return fmt.Sprintf("poller demo: sweeps %s, requests %s (at most %d in a second), events %s; all is stopped and removed",
		thousands(n.Sweeps), thousands(n.Budget.Requests), n.Budget.Most, thousands(events))
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.1f s", max(0, d).Seconds()) }

func millis(d time.Duration) string {
	if d >= 10*time.Second {
		return seconds(d)
	}
	return strconv.FormatInt(max(0, d).Milliseconds(), 10) + " ms"
}

// thousands writes a number with commas.
func thousands[N int | int64 | uint64](n N) string {
	digits := strconv.FormatInt(int64(n), 10)
	for i := len(digits) - 3; i > 0 && digits[i-1] != '-'; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}
