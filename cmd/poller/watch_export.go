package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/zim-presence/poller/internal/watchlist"
)

// watchExportCmd is poller watch export: what it writes, import reads. A file appears whole or not at all.
type watchExportCmd struct {
	watchFlags
	File   string `arg:"" optional:"" default:"-" help:"File to write, replaced if it is there; - for the standard output."`
	Format string `enum:"auto,lines,csv" default:"auto" help:"What to write: lines, csv, or auto: csv if the file's name ends in .csv."`
}

// Run exports the list; how much it was goes to the standard error.
func (c *watchExportCmd) Run(ctx context.Context, g *globals) error {
	return c.with(ctx, g, func(list appList) error {
		total, err := list.Count(ctx, list.app)
		if err != nil {
			return err
		}
		progress := newProgress(g.Stderr, "export")
		var report watchlist.Exported
		write := func(out io.Writer) (err error) {
			report, err = list.Export(ctx, list.app, out, formatOf(c.Format, c.File), func(e watchlist.Exported) {
				progress.tell(e.Written, portion(int64(e.Written+e.Invalid), int64(total)), "")
			})
			return err
		}
		if c.File == "-" {
			err = write(g.Stdout)
		} else {
			err = replaceFile(c.File, write)
		}
		progress.end()
		if err != nil {
			return err
		}
		fmt.Fprintf(g.Stderr, "exported %d\n", report.Written)
		if report.Invalid > 0 {
			fmt.Fprintf(g.Stderr, "warning: left out %d invalid ids: poller watch list --invalid\n", report.Invalid)
		}
		return nil
	})
}

// replaceFile puts what write writes into a file, which until then stays as it was. What is no regular file, such as
// a device, is written directly.
func replaceFile(path string, write func(io.Writer) error) error {
	if info, err := os.Lstat(path); err == nil && !info.Mode().IsRegular() {
		file, err := os.OpenFile(path, os.O_WRONLY|os.O_TRUNC, 0)
		if err != nil {
			return usageError{err}
		}
		return errors.Join(write(file), file.Close())
	}
	part := path + ".part"
	file, err := os.OpenFile(part, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o666)
	if err != nil {
		return usageError{err}
	}
	err = errors.Join(write(file), file.Close())
	if err == nil {
		err = os.Rename(part, path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(part))
	}
	return nil
}
