package main

import (
	"math"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/zim-presence/poller/internal/plan"
)

// The plot: both scales are logarithmic.
const (
	planLeast   = 3 // the power of ten of the first column
	planDecades = 4
	planDecade  = 16 // columns
	planRows    = 12
	planMargin  = 6 // columns before the axis
	planWidth   = planDecades*planDecade + 1
)

// planSizes is how many users each column stands for.
func planSizes() []int {
	sizes := make([]int, planWidth)
	for i := range sizes {
		sizes[i] = int(math.Round(math.Pow(10, planLeast+float64(i)/planDecade)))
	}
	return sizes
}

// planColumn is where so many users are, and whether that is on the plot; else it is the nearest end.
func planColumn(users int) (column int, on bool) {
	at := math.Round((math.Log10(max(1, float64(users))) - planLeast) * planDecade)
	return int(min(max(at, 0), planWidth-1)), at >= 0 && at < planWidth
}

// planPlot is the delay against users, drawn in characters.
type planPlot struct {
	points []plan.Point
	here   int  // users
	ours   bool // they are those of the watchlist
	fits   int  // users that fit the schedule, at the most
	plain  bool
}

// glyphs are the characters of a plot.
type glyphs struct{ mean, worst, axis, corner, line, tick, mark, left, right string }

func (p planPlot) glyphs() glyphs {
	if p.plain {
		return glyphs{mean: "#", worst: ":", axis: "|", corner: "+", line: "-", tick: "+", mark: "^", left: "<", right: ">"}
	}
	return glyphs{mean: "█", worst: "░", axis: "│", corner: "└", line: "─", tick: "┴", mark: "▲", left: "◄", right: "►"}
}

func (p planPlot) lines() []string {
	g := p.glyphs()
	lines := []string{"how late a change is seen, by users watched:  " + g.mean + " on average  " + g.worst + " at the most", ""}
	lines = append(lines, p.area(g)...)
	axis := strings.Repeat(" ", planMargin) + g.corner
	for i := range planWidth {
		if i > 0 && i%planDecade == 0 {
			axis += g.tick
			continue
		}
		axis += g.line
	}
	lines = append(lines, axis, planSizesLine())
	here := usersText(p.here)
	if p.ours {
		here = "your " + here
	}
	return append(lines, g.pointer(p.here, here), g.pointer(p.fits, "the most that fits: "+usersText(p.fits)))
}

// area is the rows, from the top. Each stands for a factor.
func (p planPlot) area(g glyphs) (lines []string) {
	least, most := math.Inf(1), 0.0
	for _, point := range p.points {
		least, most = min(least, point.Seen.Mean.Seconds()), max(most, point.Seen.Worst.Seconds())
	}
	least /= 2 // so that also the least is seen
	factor := math.Pow(most/least, 1.0/planRows)
	for row := planRows - 1; row >= 0; row-- {
		from := least * math.Pow(factor, float64(row))
		line := planLabel(from, from*factor) + g.axis
		for _, point := range p.points {
			switch middle := from * math.Sqrt(factor); {
			case point.Seen.Mean.Seconds() >= middle:
				line += g.mean
			case point.Seen.Worst.Seconds() >= middle:
				line += g.worst
			default:
				line += " "
			}
		}
		lines = append(lines, strings.TrimRight(line, " "))
	}
	return lines
}

// planLabel is the round time, if one is between two, where it belongs.
func planLabel(from, to float64) string {
	for _, round := range []time.Duration{
		time.Millisecond, 10 * time.Millisecond, 100 * time.Millisecond, time.Second, 10 * time.Second, time.Minute, 10 * time.Minute,
		time.Hour, 10 * time.Hour, 4 * day, 40 * day, 400 * day,
	} {
		if s := round.Seconds(); from <= s && s < to {
			text := formatDuration(round)
			return strings.Repeat(" ", planMargin-1-len(text)) + text + " "
		}
	}
	return strings.Repeat(" ", planMargin)
}

// planSizesLine is what stands below the axis.
func planSizesLine() string {
	line := ""
	for decade := range planDecades + 1 {
		text := thousands(int(math.Pow10(planLeast + decade)))
		at := planMargin + 1 + decade*planDecade - len(text)/2
		if decade == planDecades {
			at = planMargin + 1 + planWidth - len(text) + 2
		}
		line += strings.Repeat(" ", at-len(line)) + text
	}
	return line
}

// pointer is a mark below so many users with a text beside it, on the side on which there is room.
func (g glyphs) pointer(users int, text string) string {
	column, on := planColumn(users)
	at := planMargin + 1 + column
	switch {
	case !on && column == 0:
		return strings.Repeat(" ", at) + g.left + " " + text + ", left of the plot"
	case !on:
		text, g.mark = text+", right of the plot", g.right
	}
	if at+2+utf8.RuneCountInString(text) <= 80 {
		return strings.Repeat(" ", at) + g.mark + " " + text
	}
	return strings.Repeat(" ", at-1-utf8.RuneCountInString(text)) + text + " " + g.mark
}
