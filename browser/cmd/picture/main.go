// Command picture takes a picture of a page that is being served:
// go run ./cmd/picture http://127.0.0.1:8089/ page.png
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"

	"github.com/chromedp/chromedp"

	"github.com/zim-presence/poller/browser/chrome"
)

// filled is true of a status page that shows its first answer, or why there is none,
// with its plots where it has them, and of any other page.
const filled = `document.readyState === "complete" && !document.querySelector("#verdict .loading, #user .loading") && !document.querySelector("#app:not([hidden]) > #plots[hidden] ~ #live:not([hidden])")`

// shot is one picture: of what, how, when what is true.
type shot struct {
	address, theme, when string
	width, height        int64
	scale                float64
	full                 bool
}

func main() {
	s := shot{}
	flag.Int64Var(&s.width, "width", 1200, "pixels of the window")
	flag.Int64Var(&s.height, "height", 1500, "pixels of the window")
	flag.Float64Var(&s.scale, "scale", 1, "pixels of the picture for one of the window")
	flag.StringVar(&s.theme, "theme", "light", "light or dark")
	flag.BoolVar(&s.full, "full", false, "the page to its end, however high the window")
	flag.StringVar(&s.when, "when", filled, "expression of JavaScript: the picture is taken once it is true")
	flag.Parse()
	if flag.NArg() != 2 || s.theme != "light" && s.theme != "dark" {
		flag.Usage()
		fmt.Fprintln(os.Stderr, "want: picture [flags] ADDRESS FILE.png")
		os.Exit(2)
	}
	s.address = flag.Arg(0)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, s, flag.Arg(1))
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// run writes the picture into a file. What never becomes true is an error, and the
// picture shows what was there instead.
func run(ctx context.Context, s shot, to string) (err error) {
	profile, err := os.MkdirTemp("", "poller-picture-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(profile)) }()
	browser, closed, err := chrome.Open(ctx, profile)
	if err != nil {
		return err
	}
	defer closed()
	tab, shut, err := chrome.NewTab(browser, s.address)
	if err != nil {
		return err
	}
	defer shut()
	if err := tab.Do(chrome.Size(s.width, s.height, chromedp.EmulateScale(s.scale)), chrome.System(s.theme, true), chromedp.Navigate(s.address)); err != nil {
		return fmt.Errorf("open %s: %w", s.address, err)
	}
	late := tab.Until(s.when)
	if late != nil {
		late = fmt.Errorf("%s shows what was there instead: %w", to, late)
	}
	look := tab.Seen
	if s.full {
		look = tab.Shot
	}
	picture, err := look()
	if err != nil {
		return errors.Join(late, fmt.Errorf("take a picture of %s: %w", s.address, err))
	}
	return errors.Join(late, os.WriteFile(to, picture, 0o644))
}
