package main

import (
	"io"
	"strings"
	"sync"
	"time"
)

// terminal runs a line as a person does who is asked on a terminal, and says yes.
func (d *drill) terminal(line string, want ...string) {
	d.t.Helper()
	cmd := d.inHere("script", "-qec", line, "/dev/null")
	keys, err := cmd.StdinPipe()
	if err != nil {
		d.t.Fatal(err)
	}
	screen, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		d.t.Fatal(err)
	}
	over := make(chan struct{})
	var typing sync.WaitGroup
	typing.Go(func() { // what is typed too early is lost, so it is typed until it is taken
		for yes := time.NewTicker(500 * time.Millisecond); ; {
			select {
			case <-yes.C:
				_, _ = io.WriteString(keys, "y\r")
			case <-over:
				return
			}
		}
	})
	said := onScreen(screen, keys)
	close(over)
	typing.Wait()
	err = cmd.Wait()
	for _, words := range want {
		if !strings.Contains(said, words) {
			d.t.Errorf("%s: got (%v)\n%s\nwant %q in it", line, err, said, words)
		}
	}
	d.t.Logf("$ %s  (%v, on a terminal)\n%s", line, err, said)
}

// onScreen reads a screen to its end, and says where the cursor is when it is asked.
func onScreen(screen io.Reader, keys io.Writer) string {
	const where, here = "\x1b[6n", "\x1b[1;1R"
	var said strings.Builder
	for buffer, asked := make([]byte, 4096), 0; ; {
		n, err := screen.Read(buffer)
		said.Write(buffer[:n])
		for ; asked < strings.Count(said.String(), where); asked++ {
			_, _ = io.WriteString(keys, here)
		}
		if err != nil {
			return said.String()
		}
	}
}
