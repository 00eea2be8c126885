package main

import (
	"io"
	"time"

	"github.com/rs/zerolog"
)

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
