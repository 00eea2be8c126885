package main

import (
	"strings"

	"charm.land/lipgloss/v2"

	"github.com/zim-presence/poller/presence"
)

// look is the colours of the live view.
type look struct {
	title, dim, online, offline, warn, used, unused lipgloss.Style
}

// newLook returns colours that can be read on a dark or on a light background.
func newLook(dark bool) look {
	pick := lipgloss.LightDark(dark)
	colour := func(light, dark string) lipgloss.Style {
		return lipgloss.NewStyle().Foreground(pick(lipgloss.Color(light), lipgloss.Color(dark)))
	}
	return look{
		title:   colour("#1d4ed8", "#7aa2f7").Bold(true),
		dim:     colour("#667085", "#8a94a6"),
		online:  colour("#0a7d32", "#4ade80"),
		offline: colour("#b42318", "#f97066"),
		warn:    colour("#b45309", "#fbbf24"),
		used:    colour("#1d4ed8", "#7aa2f7"),
		unused:  colour("#d0d5dd", "#3b4252"),
	}
}

func (l look) kind(k presence.Kind) lipgloss.Style {
	switch k {
	case presence.KindOnline:
		return l.online
	case presence.KindOffline:
		return l.offline
	case presence.KindBaseline, presence.KindRemoved:
	}
	return l.dim
}

// bar is so many cells wide, filled to part, from 0 to 1, by eighths of a cell.
func (l look) bar(part float64, width int) string {
	const steps = 8
	eighths := int(max(0, min(1, part))*float64(width*steps) + 0.5)
	full := strings.Repeat("█", eighths/steps)
	used := eighths / steps
	if rest := eighths % steps; rest > 0 {
		full += string([]rune("▏▎▍▌▋▊▉")[rest-1])
		used++
	}
	return l.used.Render(full) + l.unused.Render(strings.Repeat("─", width-used))
}

// spark draws the newest values, one a cell, against the most that there can be.
func (l look) spark(values []int, most, width int) string {
	heights := []rune("▁▂▃▄▅▆▇█")
	var line strings.Builder
	for _, v := range values[max(0, len(values)-max(0, width)):] {
		if v <= 0 {
			line.WriteString(l.unused.Render("▁"))
			continue
		}
		level := (min(v, most)*len(heights) + most - 1) / most
		line.WriteString(l.used.Render(string(heights[level-1])))
	}
	return line.String()
}
