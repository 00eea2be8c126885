package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/zim-presence/poller/internal/ledger"
)

// pruneReport is what poller prune -o json writes. In a dry run, dropped is what would be.
type pruneReport struct {
	DryRun    bool             `json:"dry_run"`
	Days      []pruneDay       `json:"days"`      // of the ledger, older than retention.transitions, the oldest first
	Snapshots []pruneSnapshots `json:"snapshots"` // by app and age, the oldest first
	Bytes     int64            `json:"bytes"`     // of all that is dropped

	keep retentionConfig
}

type pruneDay struct {
	Day     string `json:"day"`  // UTC
	Part    string `json:"part"` // the partition of transitions
	Rows    int64  `json:"rows"` // of all apps
	Bytes   int64  `json:"bytes"`
	Dropped bool   `json:"dropped"`
	Kept    string `json:"kept,omitempty"` // why it is not dropped
}

type pruneSnapshots struct {
	AppID   uint32 `json:"app_id"`
	Class   string `json:"class"`
	Kept    int64  `json:"kept"`
	Dropped int64  `json:"dropped"`
	Bytes   int64  `json:"bytes"`          // of those
	Held    string `json:"held,omitempty"` // why none is dropped that could be
}

func newPruneReport(keep retentionConfig, done ledger.Pruned, dry bool) *pruneReport {
	r := &pruneReport{DryRun: dry, Days: []pruneDay{}, Snapshots: []pruneSnapshots{}, keep: keep}
	for _, d := range done.Days {
		day := pruneDay{Day: d.Day.Format("2006-01-02"), Part: d.Part, Rows: d.Rows, Bytes: d.Bytes, Dropped: d.Kept == "", Kept: d.Kept}
		r.Days = append(r.Days, day)
		if day.Dropped {
			r.Bytes += d.Bytes
		}
	}
	for _, s := range done.Snapshots {
		r.Snapshots = append(r.Snapshots, pruneSnapshots{s.App, s.Class, s.Kept, s.Dropped, s.Bytes, s.Held})
		r.Bytes += s.Bytes
	}
	return r
}

// dropped counts the days and the snapshots that are dropped.
func (r *pruneReport) dropped() (days int, snapshots int64) {
	for _, s := range r.Snapshots {
		snapshots += s.Dropped
	}
	return len(r.Days) - len(r.held()), snapshots
}

// held are the days that are kept past their age.
func (r *pruneReport) held() (days []pruneDay) {
	for _, d := range r.Days {
		if !d.Dropped {
			days = append(days, d)
		}
	}
	return days
}

func (c *pruneCmd) print(g *globals, r *pruneReport) error {
	if c.Output == "json" {
		return writeJSON(g.Stdout, r)
	}
	_, err := fmt.Fprint(g.Stdout, r.text())
	return err
}

func (r *pruneReport) text() string {
	drop, freed := "dropped", "freed"
	if r.DryRun {
		drop, freed = "to drop", "to be freed"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "transitions older than %s: %s\n", formatDuration(r.keep.Transitions), plural(int64(len(r.Days)), "day"))
	t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for _, d := range r.Days {
		became := drop
		if !d.Dropped {
			became = "kept: " + d.Kept
		}
		fmt.Fprintf(t, "  %s\t%s\t%s\t%s\n", d.Day, plural(d.Rows, "row"), formatBytes(d.Bytes), became)
	}
	t.Flush()
	for i, s := range r.Snapshots {
		if i == 0 || s.AppID != r.Snapshots[i-1].AppID {
			fmt.Fprintf(t, "snapshots of app %d:\n", s.AppID)
		}
		fmt.Fprintf(t, "  %s\t%d kept\t%d %s\t%s", s.Class, s.Kept, s.Dropped, drop, formatBytes(s.Bytes))
		if s.Held != "" {
			fmt.Fprintf(t, "\tkept: %s", s.Held)
		}
		fmt.Fprintln(t)
	}
	t.Flush()
	if slices.ContainsFunc(r.Snapshots, func(s pruneSnapshots) bool { return s.Class == "needed" }) {
		b.WriteString("needed, whatever their age: the newest 100 of each app, and the one that the beginning of the ledger goes on from\n")
	}
	fmt.Fprintf(&b, "%s: %s\n", freed, formatBytes(r.Bytes))
	return b.String()
}

// formatBytes writes a size with two digits or more.
func formatBytes(n int64) string {
	for _, unit := range []struct {
		size int64
		name string
	}{{1e9, "GB"}, {1e6, "MB"}, {1e3, "kB"}} {
		if n >= unit.size {
			whole := strconv.FormatFloat(float64(n)/float64(unit.size), 'f', 1, 64)
			return whole + " " + unit.name
		}
	}
	return strconv.FormatInt(n, 10) + " B"
}
