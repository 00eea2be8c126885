package main

import (
	"context"
	"fmt"

	"github.com/zim-presence/poller/internal/watchlist"
	"github.com/zim-presence/poller/presence"
)

// watchAddCmd is poller watch add: all ids or, when one is invalid, none. Who is watched already stays so.
type watchAddCmd struct {
	watchFlags
	IDs []string `arg:"" name:"id" help:"User ids as ZIM knows them. Put -- before one that begins with a dash."`
}

// Help says how an id that looks like a flag is told from one.
func (c *watchAddCmd) Help() string {
	return "All ids or, when one is invalid, none. What begins with a dash is taken for a flag unless -- stands before it: " +
		"poller watch add -- -foo"
}

// Run adds the ids and says how many were new.
func (c *watchAddCmd) Run(ctx context.Context, g *globals) error {
	var bad []watchlist.Invalid
	long := 0
	for _, id := range c.IDs {
		if err := presence.CheckUserID(id); err != nil {
			bad = append(bad, watchlist.NewInvalid(id, err))
		} else if len(id) > presence.UsualUserIDBytes {
			long++
		}
	}
	if len(bad) > 0 {
		warnInvalid(g.Stderr, bad, len(bad))
		return usagef("%d of %d are no valid user ids; nobody was added", len(bad), len(c.IDs))
	}
	warnLong(g.Stderr, long)
	return c.with(ctx, g, func(list appList) error {
		added, err := list.Add(ctx, list.app, c.IDs)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(g.Stdout, "added %d of %d\n", added, len(c.IDs))
		return err
	})
}

// watchRemoveCmd is poller watch remove: it also takes ids that could not be added.
type watchRemoveCmd struct {
	watchFlags
	IDs []string `arg:"" name:"id" help:"User ids, also invalid ones that another program wrote. Put -- before one that begins with a dash."`
}

// Help says how an id that looks like a flag is told from one.
func (c *watchRemoveCmd) Help() string {
	return "What begins with a dash is taken for a flag unless -- stands before it: poller watch remove -- -foo"
}

// Run removes the ids and says how many were there.
func (c *watchRemoveCmd) Run(ctx context.Context, g *globals) error {
	return c.with(ctx, g, func(list appList) error {
		removed, err := list.Remove(ctx, list.app, c.IDs)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(g.Stdout, "removed %d of %d\n", removed, len(c.IDs))
		return err
	})
}
