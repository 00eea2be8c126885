package main

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"golang.org/x/term"
)

// progress tells how far a long command is: on a terminal in one line that changes, elsewhere with a line now and then,
// and nothing of what is over before the first is due.
type progress struct {
	out      io.Writer
	what     string
	terminal bool
	every    time.Duration

	begun, told time.Time
	mu          sync.Mutex // guards all below, and what is written
	open        bool       // the terminal's line has no end yet
}

// clearLine begins a terminal's line anew.
const clearLine = "\r\x1b[K"

func newProgress(out io.Writer, what string) *progress {
	p := &progress{out: out, what: what, every: 10 * time.Second, begun: time.Now(), told: time.Now()}
	if onTerminal(out) {
		p.terminal, p.every = true, 200*time.Millisecond
	}
	return p
}

// tell shows how many are done, which part of the whole that is (see share), and more words if there are any.
func (p *progress) tell(done int, part float64, more string) {
	p.show(func() string {
		line := fmt.Sprintf("%s: %d rows", p.what, done)
		if more != "" {
			line += ", " + more
		}
		line += fmt.Sprintf(", %.0f/s", float64(done)/time.Since(p.begun).Seconds())
		if part >= 0 {
			line += fmt.Sprintf(", %.0f %%", part*100)
		}
		return line
	})
}

// show shows a line if one is due.
func (p *progress) show(line func() string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	if now.Sub(p.told) < p.every {
		return
	}
	p.told = now
	if p.terminal {
		fmt.Fprint(p.out, clearLine+line())
		p.open = true
		return
	}
	fmt.Fprintln(p.out, line())
}

// last leaves a line on the terminal, whether one is due or not.
func (p *progress) last(line string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.terminal {
		fmt.Fprintln(p.out, clearLine+line)
		p.open = false
	}
}

// end leaves the terminal at the beginning of a line.
func (p *progress) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.open {
		fmt.Fprintln(p.out)
		p.open = false
	}
}

// aside writes what else is to be said to the same place: the progress gives way,
// and comes again when it is due.
type aside struct{ *progress }

// Write writes whole lines.
func (a aside) Write(text []byte) (int, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.open {
		fmt.Fprint(a.out, clearLine)
		a.open = false
	}
	return a.out.Write(text)
}

// onTerminal tells whether a person looks on.
func onTerminal(w io.Writer) bool {
	if a, ok := w.(aside); ok {
		w = a.out
	}
	file, ok := w.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}

// portion is the part that is done, from 0 to 1, or -1 when the whole is not known.
func portion(done, whole int64) float64 {
	if whole <= 0 {
		return -1
	}
	return min(1, float64(done)/float64(whole))
}
