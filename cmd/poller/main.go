// Command poller turns the polled presence of ZIM's users into events on NATS
// that can be trusted. It wires the rooms together and decides nothing: one
// file a command, and the configuration.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	_ "time/tzdata" // time zones for a scratch image

	"github.com/alecthomas/kong"
	_ "golang.org/x/crypto/x509roots/fallback" // CA roots for a scratch image

	"github.com/zim-presence/poller/internal/poll"
)

// cli is every command.
type cli struct {
	globals

	Run          runCmd          `cmd:"" help:"Poll on schedule and publish what changes: the daemon."`
	Sweep        sweepCmd        `cmd:"" help:"Poll once now, publish what changed, and exit."`
	State        stateCmd        `cmd:"" help:"Who was online at a time."`
	Verify       verifyCmd       `cmd:"" help:"Prove that snapshots, ledger, state, stream and bucket agree, and say where they do not."`
	Replay       replayCmd       `cmd:"" help:"Tell a range of the past again, on subjects of its own."`
	Adopt        adoptCmd        `cmd:"" help:"Mend an app whose database was restored to a state older than its event stream."`
	Explain      explainCmd      `cmd:"" help:"Why the poller believes what it does of one user: the chain of evidence."`
	Forget       forgetCmd       `cmd:"" help:"Erase one person from everything that the poller keeps."`
	Prune        pruneCmd        `cmd:"" help:"Drop what is older than retention says; the daemon does so every hour."`
	Demo         demoCmd         `cmd:"" help:"Show the whole program at work, with everything that it needs in one process."`
	Watch        watchCmd        `cmd:"" help:"The watchlist."`
	Plan         planCmd         `cmd:"" help:"What a number of users costs: sweep time, delay, share of the budget, and what fits."`
	Check        checkCmd        `cmd:"" help:"Check the configuration."`
	Doctor       doctorCmd       `cmd:"" help:"Try everything that can be wrong, and say how it is mended."`
	Migrate      migrateCmd      `cmd:"" help:"Bring the database up to the schema of this program."`
	ZimSimulator zimSimulatorCmd `cmd:"" name:"zim-simulator" help:"A simulated ZIM on a port, for tests."`
	Completion   completionCmd   `cmd:"" help:"Print a script by which a shell completes commands and flags."`
	Version      versionCmd      `cmd:"" help:"Print the version."`
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := execute(ctx, os.Args[1:], os.Environ(), os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// execute runs one command and returns its exit code: 0 done or asked to stop,
// 1 broke, 2 usage or configuration.
func execute(ctx context.Context, args, environ []string, stdout, stderr io.Writer) int {
	ctx, lose := context.WithCancelCause(ctx)
	defer lose(nil)
	c := &cli{globals: globals{Stdout: stdout, Stderr: stderr, Environ: environ, ParseSchedule: checkSchedule, lose: lose}}
	code := -1 // of kong's own exits: help
	parser, err := kong.New(c,
		kong.Name("poller"),
		kong.Description("ZIM presence, polled, as events on NATS that can be trusted."),
		kong.UsageOnError(),
		kong.Writers(stdout, stderr),
		kong.Exit(func(n int) { code = n }))
	if err != nil {
		fmt.Fprintln(stderr, "poller:", err)
		return 1
	}
	parsed, err := parser.Parse(args)
	if code >= 0 {
		return code
	}
	if err != nil {
		fmt.Fprintf(stderr, "poller: %v (%s --help tells more)\n", err, meant(err))
		return exitUsage
	}
	parsed.BindTo(ctx, (*context.Context)(nil))
	if err := parsed.Run(&c.globals); err != nil {
		if text := err.Error(); text != "" {
			fmt.Fprintln(stderr, "poller:", text)
		}
		return exitCode(err)
	}
	return 0
}

// meant is the command that could not be parsed, as far as it was.
func meant(err error) string {
	if wrong, ok := errors.AsType[*kong.ParseError](err); ok {
		if node := wrong.Context.Selected(); node != nil {
			return node.FullPath()
		}
	}
	return "poller"
}

func exitCode(err error) int {
	var coder interface{ ExitCode() int }
	if errors.As(err, &coder) {
		return coder.ExitCode()
	}
	return 1
}

func checkSchedule(spec string) error {
	_, err := poll.ParseSchedule(spec)
	return err
}
