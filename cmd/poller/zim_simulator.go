package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/zim-presence/poller/internal/zimsim"
)

// zimSimulatorCmd is poller zim-simulator: the simulated ZIM alone. It needs no
// configuration.
type zimSimulatorCmd struct {
	Listen         string        `default:"127.0.0.1:8085" help:"Where the gateway listens."`
	Control        string        `default:"127.0.0.1:8086" help:"Where its HTTP control listens; empty for none."`
	AppID          uint32        `default:"1234567890" help:"AppID that it answers for."`
	Secret         string        `default:"0123456789abcdef0123456789abcdef" help:"ServerSecret of the app."`
	Rate           int           `default:"20" help:"Requests in a sliding second; -1 for no limit."`
	Users          int           `default:"5000" help:"Users who come and go; 0 for none but those that the control names."`
	Speed          float64       `default:"1" help:"Simulated seconds in a real one."`
	Session        time.Duration `default:"20m" help:"Mean time online."`
	Away           time.Duration `default:"40m" help:"Mean time offline in the busiest hour."`
	Hour           float64       `default:"16" help:"Hour of the simulated day at the start."`
	Seed           uint64        `default:"1" help:"Of everything that is drawn."`
	Faults         string        `placeholder:"FAULTS" help:"What goes wrong, such as http:503@0.1,slow:2s@0.5,code:7x3."`
	CallbackURL    string        `placeholder:"URL" help:"Whom to call back of logins and logouts; nobody if not given."`
	CallbackSecret string        `default:"fedcba9876543210fedcba9876543210" help:"The secret by which callbacks are signed."`
	TLS            bool          `help:"Speak TLS and HTTP/2, with a certificate made at the start."`
}

// Help is shown below the flags' by --help.
func (zimSimulatorCmd) Help() string {
	var kinds strings.Builder
	for _, k := range zimsim.Kinds() {
		fmt.Fprintf(&kinds, "  %-15s %s\n", k.Kind, k.Does)
	}
	return `Answers like ZIM, for tests. What it answers, and what goes wrong, is steered over http at the address of --control:

  curl -s -X PUT http://127.0.0.1:8086/users/user-000001 -d '{"state":"online"}'
  curl -s -X PUT http://127.0.0.1:8086/faults -d '{"kind":"gone","share":1}'
  curl -s -X DELETE http://127.0.0.1:8086/faults

Faults are given there as JSON, or at the start with --faults in short: kind[:argument][@probability][xcount], separated by
commas. These are the kinds. The argument is the share of the users, from 0 to 1 (0.5), the HTTP status, the ZIM code, or
how long is waited:

` + kinds.String() + `
docs/operations.md has them with their parameters, and a word on the rest of the control.`
}

// Run serves until ctx ends, and says at the end what the gateway counted.
func (c *zimSimulatorCmd) Run(ctx context.Context, g *globals) error {
	faults, err := zimsim.ParseFaults(c.Faults)
	if err != nil {
		return usageError{err}
	}
	app := zimsim.AppConfig{ID: c.AppID, Secret: c.Secret, Rate: c.Rate}
	if c.Users > 0 {
		app.Living = &zimsim.Living{Users: c.Users, Speed: c.Speed, Hour: c.Hour, Session: c.Session, Away: c.Away}
	}
	sim := zimsim.New(zimsim.Config{Apps: []zimsim.AppConfig{app}, Seed: c.Seed, Faults: faults, TLS: c.TLS})
	if err := c.callBack(sim); err != nil {
		return usageError{err}
	}
	if err := sim.Start(ctx, c.Listen, c.Control); err != nil {
		return fmt.Errorf("%w (--listen and --control say where else)", err)
	}
	defer sim.Close()
	fmt.Fprintf(g.Stdout, "gateway  %s\n", sim.URL())
	if c.Control != "" {
		fmt.Fprintf(g.Stdout, "control  %s\n", sim.ControlURL())
	}
	fmt.Fprintf(g.Stdout, "app id   %d\nsecret   %s\n", c.AppID, c.Secret)
	if c.Users > 0 {
		fmt.Fprintf(g.Stdout, "users    %s to %s\n", zimsim.UserName(1), zimsim.UserName(c.Users))
	}
	if c.CallbackURL != "" {
		fmt.Fprintf(g.Stdout, "calls    %s\n", c.CallbackURL)
	}
	<-ctx.Done()
	stats := sim.App(c.AppID).Stats()
	fmt.Fprintf(g.Stdout, "%d requests, at most %d in a second, %d ids, %d repeated nonces\n",
		stats.Arrivals, stats.MostPerSecond, stats.IDs, stats.RepeatedNonces)
	return nil
}

// callBack has the simulator call back, if it is to.
func (c *zimSimulatorCmd) callBack(sim *zimsim.Server) error {
	app := sim.App(c.AppID)
	if app == nil || c.CallbackURL == "" {
		return nil // Start says what is wrong with an app that is not there
	}
	return app.SetCallbacks(zimsim.Callbacks{URL: c.CallbackURL, Secret: c.CallbackSecret})
}
