package local

import (
	"bytes"
	"strings"
	"sync"

	"github.com/rs/zerolog"
)

// keepLines is how many of the last lines are kept to explain a failed start.
const keepLines = 20

// pglog takes what Postgres writes and passes it on line by line: faults as warnings, the rest as debug.
type pglog struct {
	log zerolog.Logger

	mu      sync.Mutex
	partial []byte   // a line whose end has not come yet
	last    []string // the last lines, oldest first
	serving bool     // it has answered, so what it complains about from now on is worth a warning
}

// Write never fails.
func (l *pglog) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.partial = append(l.partial, b...)
	for {
		i := bytes.IndexByte(l.partial, '\n')
		if i < 0 {
			return len(b), nil
		}
		l.line(string(l.partial[:i]))
		l.partial = l.partial[i+1:]
	}
}

func (l *pglog) line(line string) {
	if l.last = append(l.last, line); len(l.last) > keepLines {
		l.last = l.last[1:]
	}
	level := zerolog.DebugLevel
	severity, text, found := strings.Cut(line, ":  ")
	switch {
	case !found:
		text = line
	case severity == "PANIC", l.serving && (severity == "WARNING" || severity == "FATAL"):
		level = zerolog.WarnLevel
	}
	l.log.WithLevel(level).Str("from", "postgres").Msg(text)
}

// setServing says whether faults are to be warned of: not while it starts or stops.
func (l *pglog) setServing(serving bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.serving = serving
}

// tail is the last lines as one text.
func (l *pglog) tail() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.last, "\n")
}
