package main

import (
	"testing"
	"time"

	"github.com/alecthomas/kong"
)

func TestParseMoment(t *testing.T) {
	now := time.Date(2026, 11, 23, 9, 0, 0, 123456789, time.FixedZone("", 3600))
	evening := time.Date(2026, 11, 22, 18, 43, 36, 0, time.UTC)
	for _, c := range []struct {
		text string
		want time.Time // zero: an error
	}{
		{"2026-11-22T18:43:36Z", evening},
		{"2026-11-22T19:43:36+01:00", evening},
		{"2026-11-22T18:43:36.120114999Z", evening.Add(120114 * time.Microsecond)},
		{"2026-11-22T18:43:36", evening},
		{"2026-11-22 18:43:36.5", evening.Add(500 * time.Millisecond)},
		{"2026-11-22T18:43", evening.Add(-36 * time.Second)},
		{"2026-11-22 18:43", evening.Add(-36 * time.Second)},
		{"2026-11-22", time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)},
		{"now", time.Date(2026, 11, 23, 8, 0, 0, 123456000, time.UTC)},
		{"2h", time.Date(2026, 11, 23, 6, 0, 0, 123456000, time.UTC)},
		{"-90m", time.Date(2026, 11, 23, 6, 30, 0, 123456000, time.UTC)},
		{"-7d", time.Date(2026, 11, 16, 8, 0, 0, 123456000, time.UTC)},
		{"--2h", time.Time{}},
		{"+30s", time.Time{}},
		{"-+30s", time.Time{}},
		{"", time.Time{}},
		{"-", time.Time{}},
		{"yesterday", time.Time{}},
		{"18:43", time.Time{}},
		{"2026-02-30", time.Time{}},
		{"1795370616", time.Time{}},
		{"--online", time.Time{}},
	} {
		got, err := parseMoment(c.text, now)
		if !got.Equal(c.want) || got.Location() != time.UTC || (err != nil) != c.want.IsZero() {
			t.Errorf("parseMoment(%q) = %s, %v; want %s", c.text, got, err, c.want)
		}
	}
}

func TestMomentOnTheCommandLine(t *testing.T) {
	for _, c := range []struct {
		args   []string
		ago    time.Duration
		online bool
		fails  bool
	}{
		{args: []string{"--at", "-2h"}, ago: 2 * time.Hour},
		{args: []string{"--at=-2h", "--online"}, ago: 2 * time.Hour, online: true},
		{args: []string{"--at", "2h", "--online"}, ago: 2 * time.Hour, online: true},
		{args: []string{"--at"}, fails: true},
		{args: []string{"--at", "--online"}, fails: true},
	} {
		var cli struct {
			At     moment
			Online bool
		}
		parser, err := kong.New(&cli)
		if err != nil {
			t.Fatal(err)
		}
		before := time.Now().Add(-time.Microsecond)
		if _, err := parser.Parse(c.args); err != nil || c.fails {
			if (err != nil) != c.fails {
				t.Errorf("%q: %v", c.args, err)
			}
			continue
		}
		if at := cli.At.Add(c.ago); at.Before(before) || at.After(time.Now()) || cli.Online != c.online {
			t.Errorf("%q: %s, %t", c.args, cli.At, cli.Online)
		}
	}
}
