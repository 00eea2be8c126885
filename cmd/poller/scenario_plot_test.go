package main

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// plot is a picture of something over time, written as SVG: one that is read on a
// light page and on a dark one.
type plot struct {
	file, title, x, y string
	series            []series
	bands             []band // stretches of x, such as that of a fault
}

// series is one line of a plot.
type series struct {
	name   string
	colour string
	points []point
	steps  bool // a value holds until the next point
}

type point struct{ x, y float64 }

type band struct {
	from, to float64
	name     string
}

// The colours are seen on white and on black.
const (
	blue   = "#3b82f6"
	orange = "#f97316"
	green  = "#10b981"
	grey   = "#8a8a8a"
)

// The sizes of a plot, in its own units.
const (
	plotWidth, plotHeight               = 760, 320
	plotLeft, plotRight, plotTop, plotB = 56, 14, 58, 44 // margins
)

// write writes the plot into a directory; "" writes nothing.
func (p *plot) write(t *testing.T, dir string) {
	t.Helper()
	if dir == "" {
		return
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, p.file), []byte(p.svg()), 0o644); err != nil {
		t.Fatal(err)
	}
}

func (p *plot) svg() string {
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" role="img" aria-label="%s" font-family="sans-serif" font-size="12">
<style>text{fill:#6e7681}.grid{stroke:#8a8a8a;stroke-opacity:.25}.band{fill:#8a8a8a;fill-opacity:.16}@media(prefers-color-scheme:dark){text{fill:#c4c4c4}}</style>
<text x="%d" y="20" font-size="15">%s</text>
`, plotWidth, plotHeight, p.title, plotLeft, p.title)
	xs, ys := p.scale()
	for _, band := range p.bands {
		from, to := xs.at(max(band.from, xs.from)), xs.at(min(band.to, xs.to))
		fmt.Fprintf(&b, `<rect class="band" x="%.1f" y="%d" width="%.1f" height="%d"/><text x="%.1f" y="%d" font-size="11">%s</text>`+"\n",
			from, plotTop, to-from, plotHeight-plotTop-plotB, from+4, plotHeight-plotB-8, band.name)
	}
	p.axes(&b, xs, ys)
	at := plotLeft
	for _, s := range p.series {
		fmt.Fprintf(&b, `<path d="%s" fill="none" stroke="%s" stroke-width="1.6" stroke-linejoin="round"/>`+"\n", s.path(xs, ys), s.colour)
		fmt.Fprintf(&b, `<path d="M%d 38h18" stroke="%s" stroke-width="3"/><text x="%d" y="42">%s</text>`+"\n", at, s.colour, at+24, s.name)
		at += 44 + 7*len(s.name)
	}
	b.WriteString("</svg>\n")
	return b.String()
}

// axes draws ticks, grid and the names of both axes.
func (p *plot) axes(b *strings.Builder, xs, ys scale) {
	for v := 0.0; v <= ys.to+ys.step/2; v += ys.step {
		fmt.Fprintf(b, `<path class="grid" d="M%d %.1fH%d"/><text x="%d" y="%.1f" text-anchor="end">%s</text>`+"\n",
			plotLeft, ys.at(v), plotWidth-plotRight, plotLeft-6, ys.at(v)+4, trim(v))
	}
	for v := xs.from; v <= xs.to; v += xs.step {
		fmt.Fprintf(b, `<text x="%.1f" y="%d" text-anchor="middle">%s</text>`+"\n", xs.at(v), plotHeight-plotB+17, trim(v))
	}
	fmt.Fprintf(b, `<text x="%d" y="%d" text-anchor="end">%s</text>`+"\n", plotWidth-plotRight, plotHeight-8, p.x)
	fmt.Fprintf(b, `<text x="14" y="%d" transform="rotate(-90 14 %d)" text-anchor="end">%s</text>`+"\n", plotTop, plotTop, p.y)
}

// scale maps values to places.
type scale struct {
	from, to, step float64
	low, high      float64 // places of from and to
}

func (s scale) at(v float64) float64 { return s.low + (v-s.from)/(s.to-s.from)*(s.high-s.low) }

// scale finds round bounds around all points: x as far as they go, y from 0.
func (p *plot) scale() (xs, ys scale) {
	xs = scale{from: 0, to: 1, low: plotLeft, high: plotWidth - plotRight}
	ys = scale{from: 0, to: 1, low: plotHeight - plotB, high: plotTop}
	for _, s := range p.series {
		for _, at := range s.points {
			xs.to, ys.to = max(xs.to, at.x), max(ys.to, at.y)
		}
	}
	xs.step, ys.step = round(xs.to/10), round(ys.to/5)
	ys.to = math.Ceil(ys.to/ys.step) * ys.step
	return xs, ys
}

// round returns the next number at or above v that people like to count by.
func round(v float64) float64 {
	ten := math.Pow(10, math.Floor(math.Log10(v)))
	for _, m := range []float64{1, 2, 5} {
		if v <= m*ten*1.0001 {
			return m * ten
		}
	}
	return 10 * ten
}

func trim(v float64) string { return strings.TrimSuffix(fmt.Sprintf("%.1f", v), ".0") }

func (s series) path(xs, ys scale) string {
	var b strings.Builder
	for i, at := range s.points {
		switch x, y := xs.at(at.x), ys.at(at.y); {
		case i == 0:
			fmt.Fprintf(&b, "M%.1f %.1f", x, y)
		case s.steps:
			fmt.Fprintf(&b, "H%.1fV%.1f", x, y)
		default:
			fmt.Fprintf(&b, "L%.1f %.1f", x, y)
		}
	}
	return b.String()
}
