package main

import (
	"bytes"
	"strings"
	"testing"
)

func TestQuietLogger(t *testing.T) {
	for level, want := range map[string]string{"debug": "debug info warn error", "info": "warn error", "warn": "warn error", "error": "error"} {
		var out bytes.Buffer
		log := newQuietLogger(logConfig{Level: level, Format: "json"}, &out)
		log.Debug().Msg("")
		log.Info().Msg("")
		log.Warn().Msg("")
		log.Error().Msg("")
		var got []string
		for line := range strings.Lines(out.String()) {
			got = append(got, strings.Split(line, `"`)[3])
		}
		if strings.Join(got, " ") != want {
			t.Errorf("at %s it logs %v, want %s", level, got, want)
		}
	}
}
