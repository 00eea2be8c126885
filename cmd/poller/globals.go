package main

import (
	"context"
	"io"
	"os"
)

// globals are the flags that every command has, and the world that a command runs in. Commands take it as
// Run(*globals), and reach the terminal and the environment through it alone, so that tests can run them in-process.
type globals struct {
	Config string `name:"config" placeholder:"FILE" help:"Configuration file (or POLLER_CONFIG). Without one the environment alone configures."`

	Stdout  io.Writer `kong:"-"`
	Stderr  io.Writer `kong:"-"`
	Environ []string  `kong:"-"` // as os.Environ gives it

	// Hangups has the daemon read its configuration again, each time; nil: those of the process do.
	Hangups <-chan os.Signal `kong:"-"`

	// lose ends the context of the command, with the reason.
	lose context.CancelCauseFunc

	// ParseSchedule says what is wrong with a schedule; nil: schedules are taken as they are.
	ParseSchedule func(spec string) error `kong:"-"`
}

// load reads the configuration as far as the command needs it. Its error is faults: all of them, exit code 2.
func (g *globals) load(need needs) (config, error) {
	env := environment(g.Environ)
	path := g.Config
	if path == "" {
		path = env["POLLER_CONFIG"]
	}
	return configReader{path: path, env: env, needs: need, parseSchedule: g.ParseSchedule}.read()
}
