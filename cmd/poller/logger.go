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
	level, err := zerolog.ParseLevel(cfg.Level)
	if err != nil {
		level = zerolog.InfoLevel
	}
	if cfg.Format == "console" {
		w = zerolog.ConsoleWriter{Out: w, TimeFormat: time.TimeOnly, NoColor: !onTerminal(w)}
	}
	return zerolog.New(w).Level(level).With().Timestamp().Logger()
}
