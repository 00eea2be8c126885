package watchlist

import (
	"bufio"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"iter"
	"path/filepath"
	"slices"
	"strings"
)

// Format is how a file holds ids. The zero value is [Lines].
type Format string

const (
	// Lines: an id a line.
	Lines Format = "lines"
	// CSV: an id a record, in one of its columns.
	CSV Format = "csv"
)

// FormatOf picks the format by the file's name: [CSV] for .csv, else [Lines].
func FormatOf(name string) Format {
	if strings.EqualFold(filepath.Ext(name), ".csv") {
		return CSV
	}
	return Lines
}

// Entry is one id as it stands in a file; it may be invalid.
type Entry struct {
	Line int // from 1
	ID   string
}

const (
	defaultColumn = "user_id"
	mostLine      = 1 << 10 // bytes kept of a line: far over the longest valid id
	mostRecord    = 1 << 20 // bytes of a csv record, read-ahead included; named in errLongRecord
)

// ErrFile is wrapped by the errors of [Read] that the file's content causes,
// as opposed to those of reading it.
var ErrFile = errors.New("unreadable list")

// Read yields the ids of a file, or one error at the end. A UTF-8 byte order
// mark and empty lines are skipped, lines end with LF or CRLF, spaces are part
// of the id. Column names the csv column, which the header must have; when it
// is empty the column is user_id if the first record has that word, and else
// the first column, and the first record an entry like the others. Memory is
// bounded whatever the file holds.
func Read(r io.Reader, format Format, column string) iter.Seq2[Entry, error] {
	in := bufio.NewReaderSize(r, 1<<16)
	return func(yield func(Entry, error) bool) {
		// A short or broken file shows its error again when it is read.
		if mark, _ := in.Peek(3); string(mark) == "\uFEFF" {
			_, _ = in.Discard(3)
		}
		if format == CSV {
			readCSV(in, column, yield)
			return
		}
		readLines(in, yield)
	}
}

func readLines(in *bufio.Reader, yield func(Entry, error) bool) {
	for n := 1; ; n++ {
		line, err := readLine(in)
		if err != nil && !errors.Is(err, io.EOF) {
			yield(Entry{}, fmt.Errorf("line %d: %w", n, err))
			return
		}
		if line != "" && !yield(Entry{n, line}, nil) || errors.Is(err, io.EOF) {
			return
		}
	}
}

// readLine returns the next line without its end. Of one that is longer than
// any id it keeps the beginning only, which is too long as well.
func readLine(in *bufio.Reader) (string, error) {
	part, err := in.ReadSlice('\n')
	line := string(part[:min(len(part), mostLine)])
	for errors.Is(err, bufio.ErrBufferFull) {
		_, err = in.ReadSlice('\n')
	}
	return strings.TrimSuffix(strings.TrimSuffix(line, "\n"), "\r"), err
}

func readCSV(in io.Reader, column string, yield func(Entry, error) bool) {
	limited := &recordLimit{in: in, left: mostRecord}
	records := csv.NewReader(limited)
	records.ReuseRecord = true
	at := -1
	for {
		record, err := records.Read()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			yield(Entry{}, csvError(err))
			return
		}
		limited.left = mostRecord
		if at < 0 {
			var header bool
			if at, header, err = columnOf(record, column); err != nil {
				yield(Entry{}, err)
				return
			}
			if header {
				continue
			}
		}
		line, _ := records.FieldPos(at)
		// Cloned: a field shares the memory of its whole record.
		if !yield(Entry{line, strings.Clone(record[at])}, nil) {
			return
		}
	}
}

// columnOf finds the column in the first record and tells whether that is a header.
func columnOf(record []string, column string) (at int, header bool, err error) {
	name := column
	if name == "" {
		name = defaultColumn
	}
	at = slices.IndexFunc(record, func(field string) bool { return strings.EqualFold(strings.TrimSpace(field), name) })
	switch {
	case at >= 0:
		return at, true, nil
	case column == "":
		return 0, false, nil
	}
	return 0, false, fmt.Errorf("%w: no column %q in the header %q", ErrFile, column, record)
}

func csvError(err error) error {
	if _, ok := errors.AsType[*csv.ParseError](err); ok || errors.Is(err, errLongRecord) {
		return fmt.Errorf("%w: csv: %w", ErrFile, err)
	}
	return fmt.Errorf("csv: %w", err)
}

var errLongRecord = errors.New("a record over 1 MiB, a quote may be missing")

// recordLimit ends a record that has no end, such as one with an open quote,
// before it fills the memory.
type recordLimit struct {
	in   io.Reader
	left int
}

func (l *recordLimit) Read(p []byte) (int, error) {
	if l.left <= 0 {
		return 0, errLongRecord
	}
	n, err := l.in.Read(p)
	l.left -= n
	return n, err
}
