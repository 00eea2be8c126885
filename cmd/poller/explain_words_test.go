package main

import (
	"strings"
	"testing"
)

// A code that stands for data does not look like an error.
func TestExplainCodes(t *testing.T) {
	for want, a := range map[string]daemonAnswer{
		"0":                      {Result: "0"},
		"660200001 (no session)": {Result: "0", Code: 660200001},
		"660200001":              {Result: "660200001", Code: 660200001},
		"7":                      {Result: "7", Code: 7},
		"-":                      {Result: "timeout"},
	} {
		if got := codeText(&a); got != want {
			t.Errorf("%+v: got %q, want %q", a, got, want)
		}
	}
}

// What a sweep was for the user, and for everybody.
func TestExplainSweepTable(t *testing.T) {
	for want, c := range map[string]explainSweep{
		"answered": {Seen: 3}, "missed": {Seen: 3, Missed: true}, "missed, as everybody": {Missed: true},
	} {
		r := explained(nil)
		r.Sweeps = []explainSweep{c}
		if text := r.text(); !strings.HasSuffix(text, "  "+want+"\n") {
			t.Errorf("%+v: without %q:\n%s", c, want, text)
		}
	}
}
