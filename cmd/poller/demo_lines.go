package main

import (
	"fmt"
	"io"
	"time"

	"github.com/zim-presence/poller/presence"
)

// lineEvery is how often lines are printed.
const lineEvery = 250 * time.Millisecond

// demoLines shows news in lines: the addresses, then one line an event and one
// a sweep, in the order in which they came; first answers are counted, not
// listed. Warnings go elsewhere.
type demoLines struct {
	out, warnings io.Writer
	opened        bool
	err           error // of the first write to out that failed; nothing is written after it
}

// show prints, and returns the error that ends the printing.
func (l *demoLines) show(n news) error {
	for _, w := range n.Warnings {
		fmt.Fprintln(l.warnings, "warning:", w)
	}
	if !l.opened && n.Step == "" && n.Bill.App != 0 {
		l.opened = true
		l.addresses(n.Bill)
	}
	l.events(n)
	for _, s := range n.Ended {
		l.printf("%s  %s\n", s.Finished.Local().Format(clockFormat), endedText(s))
	}
	return l.err
}

func (l *demoLines) printf(format string, args ...any) {
	if l.err == nil {
		_, l.err = fmt.Fprintf(l.out, format, args...)
	}
}

func (l *demoLines) addresses(b bill) {
	l.printf("poller demo: %s\n", aboutText(b))
	l.printf("it ignores the configuration file and POLLER_ variables, and leaves nothing behind; Ctrl-C ends it\n")
	l.printf("zim        %s (simulated)\n", b.ZIM)
	l.printf("events     %s\n", commandLine(b.Subscribe))
	l.printf("database   %s\n", commandLine(b.Query))
	l.printf("dsn        %s\n", b.DSN)
	l.printf("page       %s\n", b.Page)
	l.printf("metrics    %s\n\n", b.Metrics)
}

func (l *demoLines) events(n news) {
	baselines, online := 0, 0
	flush := func() {
		if baselines > 0 {
			l.printf("%s  baseline  %s users answered for the first time, %s of them online\n",
				n.Heard[0].At.Format(clockFormat), thousands(baselines), thousands(online))
		}
		baselines, online = 0, 0
	}
	for _, e := range n.Heard {
		if e.Kind == presence.KindBaseline {
			baselines++
			if e.To == presence.Online {
				online++
			}
			continue
		}
		flush()
		l.printf("%s\n", eventText(e, wideEvent))
	}
	flush()
	if n.Unshown > 0 {
		l.printf("%s events came too fast to be shown\n", thousands(n.Unshown))
	}
}
