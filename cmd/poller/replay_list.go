package main

import (
	"context"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/rs/zerolog"

	"github.com/zim-presence/poller/internal/replay"
	"github.com/zim-presence/poller/presence"
)

// replayListCmd is poller replay list.
type replayListCmd struct {
	replayFlags
	Output string `name:"output" short:"o" enum:"text,json" default:"text" help:"How to print: text or json."`
}

func silent(config) zerolog.Logger { return zerolog.Nop() }

// Run shows the replays of the app, the oldest first.
func (c *replayListCmd) Run(ctx context.Context, g *globals) error {
	return c.with(ctx, g, silent, false, func(p replayParts) error {
		rows, err := p.ledger.Replays(ctx)
		if err != nil {
			return err
		}
		all := make([]replayReport, len(rows))
		for i, row := range rows {
			all[i] = newReplayReport(p.app, row, replay.Report{Told: row.Told, Seq: row.ToldSeq})
		}
		if c.Output == "json" {
			return writeJSON(g.Stdout, all)
		}
		t := tabwriter.NewWriter(g.Stdout, 0, 0, 2, ' ', 0)
		fmt.Fprintln(t, "NAME\tMESSAGES\tEVENT\tOF\tSTARTED\tSTATE\tCHOICE")
		for _, r := range all {
			fmt.Fprintf(t, "%s\t%d\t%d\t%d to %d\t%s\t%s\t%s\n", r.Name, r.Told, r.ToldSeq, r.First, r.Last, r.Started.Format(time.RFC3339), r.state(), r.Choice)
		}
		return t.Flush()
	})
}

// state says how it stands, in a few words.
func (r replayReport) state() string {
	switch {
	case r.Ended != nil:
		return "ended " + r.Ended.Format(time.RFC3339)
	case r.Holder != "":
		return "moved " + r.Moved.Format(time.RFC3339) + " by " + r.Holder
	}
	return "stopped " + r.Moved.Format(time.RFC3339)
}

// replayDropCmd is poller replay drop.
type replayDropCmd struct {
	replayFlags
	Name string `arg:"" help:"The replay."`
}

// Run removes the stream first: what is left when that fails is found again.
func (c *replayDropCmd) Run(ctx context.Context, g *globals) error {
	if err := presence.CheckReplayName(c.Name); err != nil {
		return usageError{err}
	}
	return c.with(ctx, g, silent, true, func(p replayParts) error {
		told, err := p.stream.Replay(c.Name, 0)
		if err != nil {
			return err
		}
		removed, err := told.Remove(ctx)
		if err != nil {
			return err
		}
		found, err := p.ledger.DropReplay(ctx, c.Name)
		if err != nil {
			return err
		}
		if !found && !removed {
			return usagef("app %d has no replay %s", p.app, c.Name)
		}
		_, err = fmt.Fprintf(g.Stdout, "replay %s: dropped\n", c.Name)
		return err
	})
}
