// Command screenshots writes pictures of the status page into a directory: of the real
// program, whose users come and go, with some minutes of history, an incident, and at
// the end an outage.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/zim-presence/poller/browser/chrome"
	"github.com/zim-presence/poller/browser/program"
)

func main() {
	users := flag.Int("users", 20_000, "simulated users")
	gather := flag.Duration("gather", 9*time.Minute, "for how long history gathers")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, flag.Arg(0), *users, *gather)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, to string, users int, gather time.Duration) (err error) {
	if to == "" {
		return errors.New("into which directory?")
	}
	work, err := os.MkdirTemp("", "poller-screenshots-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(work)) }()
	binary, err := program.Build(ctx, work)
	if err != nil {
		return err
	}
	w, err := program.Start(ctx, binary,
		[]string{"--users", fmt.Sprint(users), "--speed", "2", "--hour", "15"},
		[]string{"POLLER_SCHEDULE=@every 20s", "POLLER_HOLD_OFFLINE=10s", "POLLER_PLAUSIBILITY_MAX_OFFLINE_SHARE=0.3"})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.Close()) }()
	if err := live(ctx, w, users, gather); err != nil {
		return err
	}
	browser, closed, err := chrome.Open(ctx, filepath.Join(work, "profile"))
	if err != nil {
		return err
	}
	defer closed()
	return (&camera{browser, w, to}).all(ctx)
}

// live has the program run for some time, with an incident in the middle.
func live(ctx context.Context, w *program.World, users int, gather time.Duration) error {
	names := make([]string, users)
	for i := range names {
		names[i] = fmt.Sprintf("user-%06d", i+1)
	}
	if err := w.Watch(ctx, names...); err != nil {
		return err
	}
	if err := pause(ctx, gather/2); err != nil {
		return err
	}
	if err := w.Fault(ctx, `{"kind":"gone","share":0.9}`); err != nil {
		return err
	}
	if err := pause(ctx, 15*time.Second); err != nil {
		return err
	}
	if err := w.Mend(ctx); err != nil {
		return err
	}
	return pause(ctx, gather/2)
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// camera takes the pictures.
type camera struct {
	browser context.Context
	world   *program.World
	to      string
}

func (c *camera) all(ctx context.Context) error {
	const ready = `!document.querySelector("#plots").hidden && document.querySelectorAll("#rows tr").length > 20 && document.querySelector("progress")`
	for _, theme := range []string{"light", "dark"} {
		wide, narrow := shot{"page-" + theme, theme, 1200, 1290, 1, "", ready}, shot{"page-narrow-" + theme, theme, 360, 1500, 1.5, "", ready}
		if err := errors.Join(c.take(wide), c.take(narrow)); err != nil {
			return err
		}
	}
	list := shot{"page-live", "light", 1200, 700, 1, "", ready}
	if err := c.take(list, `document.querySelector("#incidents").scrollIntoView()`, `scrollY > 0`); err != nil {
		return err
	}
	const chosen = `document.querySelectorAll("#rows tr.kind-offline a").length > 0`
	user := shot{"page-user", "light", 1200, 1200, 1, "", chosen}
	if err := c.take(user, `document.querySelector("#rows tr.kind-offline a").click()`, `document.querySelector("#user .story")`); err != nil {
		return err
	}
	if err := c.world.StopZIM(); err != nil {
		return err
	}
	return c.take(shot{"page-red", "light", 1200, 700, 1, "", `/red for 1[0-9]/.test(document.querySelector("#verdict .red li")?.textContent)`})
}

// shot is one picture: of which place, when what is true.
type shot struct {
	name, theme   string
	width, height int64
	scale         float64
	place, when   string
}

// take takes a picture once it is true that it can be taken, after each thing that is to
// be done, and what is true then.
func (c *camera) take(s shot, then ...string) error {
	tab, closed, err := chrome.NewTab(c.browser, c.world.Page)
	if err != nil {
		return err
	}
	defer closed()
	err = tab.Do(chrome.Size(s.width, s.height, chromedp.EmulateScale(s.scale)), chrome.System(s.theme, true), chromedp.Navigate(c.world.Page+"/"+s.place))
	if err == nil {
		err = tab.Until(s.when)
	}
	for i := 0; err == nil && i+1 < len(then); i += 2 {
		if _, err = chrome.Ask[string](tab, then[i]+`, ""`); err == nil {
			err = tab.Until(then[i+1])
		}
	}
	if err != nil {
		return fmt.Errorf("%s: %w", s.name, err)
	}
	picture, err := tab.Seen()
	if err == nil {
		picture, err = smaller(picture)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", s.name, err)
	}
	path := filepath.Join(c.to, s.name+".png")
	fmt.Printf("%s: %d kB\n", path, len(picture)/1000)
	return os.WriteFile(path, picture, 0o644)
}
