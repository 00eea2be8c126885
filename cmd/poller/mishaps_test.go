package main

import (
	"slices"

	"github.com/zim-presence/poller/internal/page"
)

// mishap is one thing that goes wrong outside, where it shows, and what is done about it.
type mishap struct {
	what         string // for people
	short        bool   // in make test as well
	happen, over func(*theatre)
	check        string // that turns red; empty for none
	says, mend   string // in its texts
	page         string // what the page shows, for people
	shows        func(page.Board) bool
	metrics      []string // series that move
	alerts       []string // that fire, and have the runbook's entry for it; empty for none
	ends         bool     // the process goes with it
	heals        bool     // by itself, within seconds: readiness may be red for as long
	asked        bool     // only a request can tell
	minute       bool     // it is red after a minute, by what it means

	doctor string       // what poller doctor says, of several; empty where it finds no fault
	look   func(*drill) // what the runbook has one look at
	by     func(*drill) // what mends it as the runbook says; nil for over
	until  []string     // what Prometheus says when it is over, as the runbook has it
}

// mishaps are the bad days, in an order in which each can follow the one before. Those
// of Postgres come first: one takes the newest migration back, and with it what events of
// the others need.
func mishaps() []mishap {
	return slices.Concat(mishapsOfPostgres(), mishapsOfZIM(), mishapsOfSweeps(), mishapsOfNATS(), mishapsOfWatchlist(), mishapsOfProcess(), mishapsOfRestore())
}

func appOf(b page.Board, id uint32) page.App {
	for _, a := range b.Apps {
		if a.App == id {
			return a
		}
	}
	return page.App{}
}
