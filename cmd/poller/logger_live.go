package main

import (
	"io"
	"sync/atomic"

	"github.com/rs/zerolog"
)

// liveLog is a log whose level and format may change while it is written to.
type liveLog struct {
	zerolog.Logger
	to  io.Writer
	now atomic.Pointer[logChoice]
}

// logChoice is a level, and what writes.
type logChoice struct {
	level zerolog.Level
	lines io.Writer
}

// newLiveLog returns the log of a daemon.
func newLiveLog(cfg logConfig, w io.Writer) *liveLog {
	l := &liveLog{to: w}
	l.set(cfg)
	l.Logger = zerolog.New(l).Level(zerolog.TraceLevel).Sample(l).With().Timestamp().Logger()
	return l
}

// set has everything logged so from now on. Level and format have been checked with the
// configuration.
func (l *liveLog) set(cfg logConfig) {
	l.now.Store(&logChoice{logLevel(cfg), logLines(cfg, l.to)})
}

// Sample tells whether a line of that level is written: [zerolog.Sampler].
func (l *liveLog) Sample(level zerolog.Level) bool { return level >= l.now.Load().level }

// Write writes one line.
func (l *liveLog) Write(line []byte) (int, error) { return l.now.Load().lines.Write(line) }
