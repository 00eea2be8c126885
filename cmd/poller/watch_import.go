package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/muesli/cancelreader"

	"github.com/zim-presence/poller/internal/watchlist"
	"github.com/zim-presence/poller/presence"
)

// watchImportCmd is poller watch import: all or nothing, and doing it again changes nothing.
type watchImportCmd struct {
	watchFlags
	File        string `arg:"" optional:"" default:"-" help:"File of ids, one a line, or csv; - for the standard input."`
	Format      string `enum:"auto,lines,csv" default:"auto" help:"What the file holds: lines, csv, or auto: csv if its name ends in .csv."`
	Column      string `placeholder:"NAME" help:"Column of the csv, by the header's word; without it user_id, and without such a header the first."`
	SkipInvalid bool   `help:"Leave invalid ids out instead of refusing them all."`

	Stdin io.Reader `kong:"-"` // nil: the process's own
}

// Run imports the file and says what it did.
func (c *watchImportCmd) Run(ctx context.Context, g *globals) error {
	if c.Column != "" && formatOf(c.Format, c.File) != watchlist.CSV {
		return usagef("--column is for csv: say --format csv")
	}
	file, size, err := c.open()
	if err != nil {
		return usageError{err}
	}
	if closer, ok := file.(io.Closer); ok && c.File != "-" {
		defer closer.Close()
	}
	in, release := stoppable(ctx, file)
	defer release()
	return c.with(ctx, g, func(list appList) error {
		counted := &countingReader{in: in}
		spaced := spacedIDs{}
		progress := newProgress(g.Stderr, "import")
		report, err := list.Import(ctx, list.app, spaced.watch(watchlist.Read(counted, formatOf(c.Format, c.File), c.Column)), c.SkipInvalid,
			func(i watchlist.Imported) {
				progress.tell(i.Read, portion(counted.read, size), fmt.Sprintf("%d added", i.Added))
			})
		progress.end()
		if err == nil {
			spaced.warn(g.Stderr)
		}
		return c.conclude(ctx, g, report, err)
	})
}

func (c *watchImportCmd) conclude(ctx context.Context, g *globals, report watchlist.Imported, err error) error {
	warnInvalid(g.Stderr, report.Examples, report.Invalid)
	switch {
	case ctx.Err() != nil && err != nil:
		return fmt.Errorf("import: stopped, nobody was added: %w", context.Cause(ctx))
	case errors.Is(err, presence.ErrUserID):
		return usagef("%d of %d are no valid user ids; nobody was added (--skip-invalid leaves them out)", report.Invalid, report.Read)
	case errors.Is(err, watchlist.ErrFile):
		return usageError{err}
	case err != nil:
		return err
	}
	warnLong(g.Stderr, report.Long)
	_, err = fmt.Fprintf(g.Stdout, "read %d, added %d, already watched %d, invalid %d\n",
		report.Read, report.Added, report.Read-report.Added-report.Invalid, report.Invalid)
	return err
}

// open returns the file and its size, 0 when it has none.
func (c *watchImportCmd) open() (io.Reader, int64, error) {
	if c.File == "-" && c.Stdin != nil {
		return c.Stdin, 0, nil
	}
	if c.File == "-" {
		return os.Stdin, 0, nil
	}
	file, err := os.Open(c.File)
	if err != nil {
		return nil, 0, err
	}
	info, err := file.Stat()
	switch {
	case err != nil:
		return nil, 0, errors.Join(err, file.Close())
	case info.IsDir():
		return nil, 0, errors.Join(fmt.Errorf("%s is a directory", c.File), file.Close())
	case !info.Mode().IsRegular():
		return file, 0, nil
	}
	return file, info.Size(), nil
}

// formatOf is the format asked for, or the one that the file's name tells.
func formatOf(asked, file string) watchlist.Format {
	if asked == "auto" {
		return watchlist.FormatOf(file)
	}
	return watchlist.Format(asked)
}

// stoppable returns a reader of r that ends with an error when ctx ends, also while it waits for a terminal or a pipe.
// The caller calls release when it is done with the reader, before it closes r.
func stoppable(ctx context.Context, r io.Reader) (in io.Reader, release func()) {
	cancelable, err := cancelreader.NewReader(r)
	if err != nil {
		return r, func() {} // a regular file, which never waits
	}
	stop := context.AfterFunc(ctx, func() { cancelable.Cancel() })
	return cancelable, func() {
		stop()
		_ = cancelable.Close() // of its own pipe: nothing is lost
	}
}

// countingReader counts what was read.
type countingReader struct {
	in   io.Reader
	read int64
}

func (c *countingReader) Read(p []byte) (int, error) {
	n, err := c.in.Read(p)
	c.read += int64(n)
	return n, err
}
