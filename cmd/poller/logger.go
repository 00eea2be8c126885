package main

import (
	"io"
	"time"

	"github.com/rs/zerolog"
)

// newQuietLogger returns the log of a command that does one thing and says itself what it did: what a daemon tells on its
// way is heard only where debug is asked for.
func newQuietLogger(cfg logConfig, w io.Writer) zerolog.Logger {
	log := newLogger(cfg, w)
	if log.GetLevel() == zerolog.InfoLevel {
		return log.Level(zerolog.WarnLevel)
	}
	return log
}

// newLogger returns the log of a command that works in the background. Level
// and format have been checked with the configuration.
func newLogger(cfg logConfig, w io.Writer) zerolog.Logger {
	return zerolog.New(logLines(cfg, w)).Level(logLevel(cfg)).With().Timestamp().Logger()
}

func logLevel(cfg logConfig) zerolog.Level {
	level, err := zerolog.ParseLevel(cfg.Level)
	if err != nil {
		return zerolog.InfoLevel
	}
	return level
}

// logLines is what writes lines to w in the format.
func logLines(cfg logConfig, w io.Writer) io.Writer {
	if cfg.Format == "console" {
		return zerolog.ConsoleWriter{Out: w, TimeFormat: time.TimeOnly, NoColor: !onTerminal(w)}
	}
	return w
}
