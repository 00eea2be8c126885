package main

import (
	"strings"
	"testing"
	"time"
)

// FuzzParseDuration feeds the reader any text. What it takes is written in a form that it reads as the same.
func FuzzParseDuration(f *testing.F) {
	for _, text := range []string{"0", "5s", "1h30m", "500ms", "30d", "1.5d", "1d12h", "-5s", "-1d", "99999d23h", "0.0000001d", "1e3d", "d", "1dd", "+1d", "9223372036s", "infd"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		d, err := parseDuration(text)
		if err != nil {
			return
		}
		if back, err := parseDuration(formatDuration(d)); err != nil || back != d {
			t.Errorf("%q is %s, written as %q, read as %s, %v", text, d, formatDuration(d), back, err)
		}
		if days, whole := strings.CutSuffix(text, "d"); whole && !strings.ContainsAny(days, ".-") && d%(24*time.Hour) != 0 {
			t.Errorf("%q is %s, which is no whole number of days", text, d)
		}
	})
}

// FuzzEnvironment gives the reader any variable of ours: it must not panic, what it refuses is a fault that names the
// variable and does not repeat a secret, and what it takes is the value in effect.
func FuzzEnvironment(f *testing.F) {
	known := leaves(&config{})
	for i := range known {
		for _, text := range []string{"", "1", "-1", "x", "5s", "1d", "true", "@every 1s", "127.0.0.1:1", ":", "nats://a:1", "postgres://u:p@h/d", "/none", "\x00"} {
			f.Add(uint8(i), text)
		}
	}
	f.Fuzz(func(t *testing.T, which uint8, text string) {
		key := known[int(which)%len(known)].key
		if strings.HasSuffix(key, "_file") || strings.HasPrefix(key, "nats.tls.") || key == "nats.creds" {
			return // it would read any file of this machine
		}
		r := configReader{env: map[string]string{"POLLER_ZIM_APP_ID": "7", "POLLER_ZIM_SERVER_SECRET": "hunter2hunter2"}, needs: needAll, parseSchedule: checkSchedule}
		r.env[envName(key)] = text
		cfg, err := r.read()
		if err != nil {
			if said := err.Error(); !strings.Contains(said, envName(key)) || key != "zim.server_secret" && strings.Contains(said, "hunter2") && !strings.Contains(text, "hunter2") {
				t.Errorf("%s=%q: %s", envName(key), text, said)
			}
			return
		}
		for _, v := range leaves(&cfg) {
			if v.key == key && cfg.origins[key].Env != envName(key) {
				t.Errorf("%s=%q is taken, and %s is from %s", envName(key), text, key, cfg.origins[key])
			}
		}
	})
}
