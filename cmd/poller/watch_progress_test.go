package main

import (
	"bytes"
	"testing"
	"testing/synctest"
	"time"
)

func TestProgress(t *testing.T) {
	tests := []struct {
		name     string
		terminal bool
		every    time.Duration
		want     string
	}{
		{"lines", false, 10 * time.Second, "import: 2000 rows, 1 added, 200/s, 50 %\nimport: 4000 rows, 1 added, 200/s\n"},
		{"terminal", true, 10 * time.Second, "\r\x1b[Kimport: 2000 rows, 1 added, 200/s, 50 %\r\x1b[Kimport: 4000 rows, 1 added, 200/s\n"},
	}
	for _, tt := range tests {
		synctest.Test(t, func(t *testing.T) {
			var out bytes.Buffer
			p := newProgress(&out, "import")
			p.terminal, p.every = tt.terminal, tt.every
			p.tell(1, 0, "too early")
			time.Sleep(10 * time.Second)
			p.tell(2000, portion(5, 10), "1 added")
			p.tell(2001, portion(5, 10), "too early again")
			time.Sleep(10 * time.Second)
			p.tell(4000, portion(5, 0), "1 added")
			p.end()
			if got := out.String(); got != tt.want {
				t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
			}
		})
	}
}

// What is over before the first line is due says nothing.
func TestProgressOfShortWork(t *testing.T) {
	var out bytes.Buffer
	p := newProgress(&out, "export")
	p.tell(10, 1, "")
	p.end()
	if out.Len() != 0 {
		t.Errorf("progress says %q, want nothing", out.String())
	}
}
