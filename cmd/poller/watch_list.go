package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/zim-presence/poller/internal/watchlist"
)

// watchListCmd is poller watch list: the list in the byte order of the ids.
type watchListCmd struct {
	watchFlags
	Invalid bool   `help:"Only ids that ZIM cannot be asked about."`
	Limit   uint   `default:"100" help:"Most rows to show; 0 for all."`
	Output  string `name:"output" short:"o" enum:"text,json" default:"text" help:"How to print: text or json."`
}

// Run prints the rows as they are read.
func (c *watchListCmd) Run(ctx context.Context, g *globals) error {
	return c.with(ctx, g, func(list appList) error {
		out := bufio.NewWriter(g.Stdout)
		var rows rowWriter = textRows{out}
		if c.Output == "json" {
			rows = &jsonRows{out: out}
		}
		more, err := c.print(ctx, list, rows)
		if err == nil {
			err = out.Flush()
		}
		if err == nil && more {
			fmt.Fprintf(g.Stderr, "there are more than %d: --limit 0 shows all\n", c.Limit)
		}
		return err
	})
}

// rowWriter writes a list in one form: begin, the rows, end. Behind it is a buffer, whose flush tells every error.
type rowWriter interface {
	begin()
	row(watchlist.Row) error
	end()
}

func (c *watchListCmd) print(ctx context.Context, list appList, out rowWriter) (more bool, err error) {
	shown := uint(0)
	out.begin()
	for row, err := range list.List(ctx, list.app) {
		if err != nil {
			return false, err
		}
		if c.Invalid && row.Invalid == "" {
			continue
		}
		if more = c.Limit > 0 && shown == c.Limit; more {
			break
		}
		if err := out.row(row); err != nil {
			return false, err
		}
		shown++
	}
	out.end()
	return more, nil
}

// textRows writes columns of a fixed width: the list may be long, and is never held.
type textRows struct{ out io.Writer }

const rowFormat = "%-32s  %-20s  %-20s  %-20s%s\n"

func (t textRows) begin() { fmt.Fprintf(t.out, rowFormat, "USER", "STATUS", "SINCE", "ADDED", "") }
func (t textRows) end()   {}

func (t textRows) row(r watchlist.Row) error {
	id, status, since, note := r.UserID, r.Status, "", ""
	if r.Detail != "" {
		status += " (" + r.Detail + ")"
	}
	if r.Since != nil {
		since = r.Since.UTC().Format(time.RFC3339)
	}
	if r.Invalid != "" {
		id, note = strconv.Quote(id), "  invalid: "+r.Invalid
	}
	if r.Invalid == "" && edgeSpace(id) {
		id = strconv.Quote(id)
	}
	_, err := fmt.Fprintf(t.out, rowFormat, id, status, since, r.AddedAt.UTC().Format(time.RFC3339), note)
	return err
}

// jsonRows writes one array, a row a line.
type jsonRows struct {
	out io.Writer
	any bool
}

func (j *jsonRows) begin() { fmt.Fprint(j.out, "[") }
func (j *jsonRows) end()   { fmt.Fprint(j.out, "\n]\n") }

func (j *jsonRows) row(r watchlist.Row) error {
	separator := ",\n  "
	if !j.any {
		separator, j.any = "\n  ", true
	}
	var line bytes.Buffer
	e := json.NewEncoder(&line)
	e.SetEscapeHTML(false)
	if err := e.Encode(r); err != nil {
		return err
	}
	_, err := fmt.Fprintf(j.out, "%s%s", separator, bytes.TrimSpace(line.Bytes()))
	return err
}

// watchCountCmd is poller watch count.
type watchCountCmd struct {
	watchFlags
	Output string `name:"output" short:"o" enum:"text,json" default:"text" help:"How to print: text or json."`
}

// counted is what poller watch count -o json writes.
type counted struct {
	AppID   uint32 `json:"app_id"`
	Users   int    `json:"users"`   // that a sweep asks about
	Long    int    `json:"long"`    // of these, over 32 bytes
	Invalid int    `json:"invalid"` // beside these, never asked about
}

// Run counts as a sweep would: it reads the whole list.
func (c *watchCountCmd) Run(ctx context.Context, g *globals) error {
	return c.with(ctx, g, func(list appList) error {
		loaded, err := list.Users(ctx, list.app, func([]byte) error { return nil })
		if err != nil {
			return err
		}
		if c.Output == "json" {
			return writeJSON(g.Stdout, counted{list.app, loaded.Users, loaded.Long, loaded.Invalid})
		}
		if loaded.Invalid > 0 {
			fmt.Fprintf(g.Stderr, "warning: invalid ids, never asked about: %d; poller watch list --invalid\n", loaded.Invalid)
		}
		warnLong(g.Stderr, loaded.Long)
		_, err = fmt.Fprintln(g.Stdout, loaded.Users)
		return err
	})
}
