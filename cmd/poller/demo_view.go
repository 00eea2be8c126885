package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/charmbracelet/x/ansi"

	"github.com/zim-presence/poller/presence"
)

// labelWidth is that of the words before the bars and texts.
const labelWidth = 10

// fewest is how many events are shown before the hints below them are.
const fewest = 4

// draw is the whole screen: as many lines as it has, none wider than it is.
//
//	title, what it plays
//	sweep, budget, last minute, users, told
//	─── events ───
//	…
//	─── from another terminal ───
//	commands
//	last line
func (s screen) draw() string {
	if s.width == 0 || s.height == 0 {
		return ""
	}
	lines := s.title()
	if s.news.Bill.App == 0 {
		lines = append(lines, "", "starting "+s.news.Step+" …")
	} else {
		lines = append(lines, s.standing()...)
		lines = append(lines, s.live(s.height-1-len(lines))...)
	}
	for len(lines) < s.height-1 {
		lines = append(lines, "")
	}
	lines = append(lines[:s.height-1], s.lastLine())
	for i, line := range lines {
		lines[i] = ansi.Truncate(line, s.width, "…")
	}
	return strings.Join(lines, "\n")
}

// live is the events and, where there is room for both, the hints.
func (s screen) live(room int) []string {
	hints := s.hints()
	if room < 1+fewest+len(hints) {
		hints = nil
	}
	room -= 1 + len(hints)
	if room < 1 {
		return nil
	}
	lines := append([]string{s.rule("events, as a subscriber of presence.v1.> gets them")}, s.events(room)...)
	return append(lines, hints...)
}

func (s screen) title() []string {
	title := s.look.title.Render("poller demo") + "  presence from a simulated ZIM, told on NATS"
	b := s.news.Bill
	if b.App == 0 {
		return []string{title}
	}
	return []string{
		s.sides(title, s.look.dim.Render("simulated time "+clockText(b.Clock(s.now)))),
		s.look.dim.Render(aboutText(b)),
	}
}

// sides puts one text to the left and, where there is room, one to the right.
func (s screen) sides(left, right string) string {
	gap := s.width - ansi.StringWidth(left) - ansi.StringWidth(right)
	if gap < 2 {
		return left
	}
	return left + strings.Repeat(" ", gap) + right
}

// standing is how things stand.
func (s screen) standing() []string {
	n := s.news
	width := s.barWidth()
	budget := fmt.Sprintf("%2d of %d in the last second, never over %d", n.Budget.LastSecond, n.Bill.Rate, n.Budget.Most)
	users := s.look.online.Render(thousands(n.Told.Online)+" online") + "  " +
		s.look.offline.Render(thousands(n.Told.Offline)+" offline")
	if lost := n.Bill.Users - n.Told.Online - n.Told.Offline; lost > 0 {
		users += "  " + s.look.dim.Render(thousands(lost)+" not answered yet")
	}
	told := n.Told.Events
	events := fmt.Sprintf("%s online, %s offline, %s first answers; ",
		thousands(told[presence.KindOnline]), thousands(told[presence.KindOffline]), thousands(told[presence.KindBaseline]))
	return []string{
		"",
		s.sweepLine(width),
		s.label("budget") + s.look.bar(float64(n.Budget.LastSecond)/float64(n.Bill.Rate), width) + "  " + budget,
		s.label("minute") + s.look.spark(n.Budget.Minute, n.Bill.Rate, s.width-labelWidth),
		s.label("users") + users,
		s.label("told") + events + fmt.Sprintf("lag %s, delay %s", thousands(n.Told.Lag()), millis(n.Told.Delay)),
	}
}

// barWidth leaves room for the texts behind the bars.
func (s screen) barWidth() int { return max(6, min(60, s.width-labelWidth-50)) }

func (s screen) sweepLine(width int) string {
	w := s.news.Sweep
	if w.Started.IsZero() {
		return s.label("sweep") + s.look.bar(0, width) + "  waiting for the first"
	}
	done, until := w.Seen+w.Missed, s.now
	if !w.Finished.IsZero() {
		until = w.Finished
	}
	rate := 0.0
	if asking := until.Sub(w.Started); asking > 0 {
		rate = float64(done) / asking.Seconds()
	}
	part := 1.0
	if w.Watched > 0 {
		part = float64(done) / float64(w.Watched)
	}
	text := fmt.Sprintf("#%d  %s of %s", w.Number, thousands(w.Seen), thousands(w.Watched))
	switch {
	case !w.Finished.IsZero() && !w.Complete:
		return s.label("sweep") + s.look.bar(float64(w.Seen)/float64(max(1, w.Watched)), width) + "  " + text + ", broken off"
	case w.Missed > 0:
		text += s.look.warn.Render(fmt.Sprintf(", %s missed", thousands(w.Missed)))
	}
	if w.Finished.IsZero() || s.width >= wideEvent {
		text += fmt.Sprintf(", %s/s", thousands(int(rate)))
	}
	if !w.Finished.IsZero() {
		text += ", next in " + seconds(s.news.Bill.Due.Next(w.Started).Sub(s.now))
	}
	return s.label("sweep") + s.look.bar(part, width) + "  " + text
}

// events are the newest, in exactly so many lines.
func (s screen) events(room int) []string {
	lines := make([]string, 0, room)
	for _, e := range s.listed[max(0, len(s.listed)-room):] {
		lines = append(lines, s.look.dim.Render(e.At.Local().Format(clockFormat))+"  "+
			s.look.kind(e.Kind).Render(fmt.Sprintf("%-8s", e.Kind))+"  "+eventDetails(e, s.width))
	}
	for len(lines) < room {
		lines = append(lines, "")
	}
	return lines
}

// hints are how to look on from elsewhere.
func (s screen) hints() []string {
	b := s.news.Bill
	lines := []string{s.rule("from another terminal")}
	for _, words := range [][]string{b.Subscribe, b.Query, {b.Page, "in a browser"}} {
		lines = append(lines, commandLines(words, s.width)...)
	}
	return lines
}

func (s screen) lastLine() string {
	if s.stopping {
		return s.look.warn.Render("stopping, and removing everything …")
	}
	line := s.look.title.Render("q") + " or Ctrl-C ends it and leaves nothing behind"
	if s.warning != "" {
		line = s.look.title.Render("q") + " ends it  " + s.look.warn.Render("! "+s.warning)
	}
	return line
}

func (s screen) label(word string) string {
	return s.look.dim.Render(fmt.Sprintf("%-*s", labelWidth, word))
}

func (s screen) rule(words string) string {
	line := "── " + words + " "
	return s.look.dim.Render(line + strings.Repeat("─", max(0, s.width-ansi.StringWidth(line))))
}

func clockText(day time.Duration) string {
	return fmt.Sprintf("%02d:%02d", int(day.Hours()), int(day.Minutes())%60)
}
