package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	tea "charm.land/bubbletea/v2"
	"golang.org/x/term"

	"github.com/zim-presence/poller/internal/zimsim"
)

// demoCmd is poller demo: the whole program in one process, with all that it
// needs. It reads no configuration, neither a file nor POLLER_ variables: what
// is set for a real daemon must not get into a show, nor the show into a real
// database.
type demoCmd struct {
	Users int     `default:"5000" help:"Simulated users, 1 to 1000000."`
	Speed float64 `default:"5" help:"How much faster than real time they come and go."`
	Plain bool    `help:"Print lines instead of the live view; so it is anyway when the output is no terminal."`
}

// Validate refuses what cannot be shown.
func (c *demoCmd) Validate() error {
	if c.Users < 1 || c.Users > 1_000_000 {
		return fmt.Errorf("--users=%d: want 1 to 1000000", c.Users)
	}
	if !(c.Speed > 0 && c.Speed <= 1000) {
		return fmt.Errorf("--speed=%g: want more than 0, at most 1000", c.Speed)
	}
	return nil
}

// Help says more than the one line.
func (c *demoCmd) Help() string {
	return "A private Postgres, an embedded NATS, a simulated ZIM and the daemon run in this one process until it is stopped, " +
		"and leave nothing behind. It needs no configuration and no account, and ignores the configuration file and every " +
		"POLLER_ variable on purpose."
}

// Run shows until ctx ends, the viewer quits or the terminal is closed.
func (c *demoCmd) Run(ctx context.Context, g *globals) error {
	ctx, quit := signal.NotifyContext(ctx, syscall.SIGHUP)
	defer quit()
	defer survivePipe()()
	show := &show{
		population: zimsim.Living{Users: c.Users, Speed: c.Speed, Hour: startHour},
		news:       &newsroom{},
		nats:       demoNATS,
		http:       demoHTTP,
	}
	if file, ok := g.Stdout.(*os.File); ok && !c.Plain && term.IsTerminal(int(file.Fd())) {
		return show.onScreen(ctx, file, tea.WithEnvironment(g.Environ))
	}
	return show.inLines(ctx, g.Stdout, g.Stderr)
}

// survivePipe lets a write to a reader that has gone fail, instead of killing
// the process before it has cleaned up. The returned function ends that.
func survivePipe() (end func()) {
	ignored := make(chan os.Signal, 1)
	signal.Notify(ignored, syscall.SIGPIPE)
	return func() { signal.Stop(ignored) }
}

// inLines shows in lines, until ctx ends or nobody reads them any more.
func (s *show) inLines(ctx context.Context, stdout, stderr io.Writer) error {
	ctx, quit := context.WithCancel(ctx)
	defer quit()
	lines := &demoLines{out: stdout, warnings: stderr}
	stop := s.news.deliver(lineEvery, func(n news) {
		if lines.show(n) != nil {
			quit()
		}
	})
	err := s.run(ctx)
	stop()
	if err == nil {
		lines.printf("%s\n", partingText(s.news.take()))
	}
	if lines.err != nil && !errors.Is(lines.err, syscall.EPIPE) {
		err = errors.Join(err, lines.err)
	}
	return err
}

// onScreen shows in the live view, until ctx ends or the viewer quits.
// The signals have their owner already, who ends ctx.
func (s *show) onScreen(ctx context.Context, out io.Writer, options ...tea.ProgramOption) error {
	ctx, quit := context.WithCancel(ctx)
	defer quit()
	program := tea.NewProgram(newScreen(quit), append(options, tea.WithOutput(out), tea.WithoutSignalHandler())...)
	ended := make(chan error, 1)
	go func() {
		stop := s.news.deliver(frameEvery, func(n news) { program.Send(n) })
		err := s.run(ctx)
		stop()
		program.Quit()
		ended <- err
	}()
	_, errScreen := program.Run()
	quit()
	err := errors.Join(<-ended, errScreen)
	if err == nil {
		fmt.Fprintln(out, partingText(s.news.take()))
	}
	return err
}
