package main

import (
	"errors"
	"os"
	"strings"
	"testing"
)

// FuzzReadConfig feeds the reader any file: it must not panic, an error must be faults that can be shown, and an answer
// without faults must keep what the rooms rely on.
func FuzzReadConfig(f *testing.F) {
	manual, err := os.ReadFile(manualPath)
	if err != nil {
		f.Fatal(err)
	}
	for _, seed := range []string{
		string(manual), minimal, "", "zim:\n  rate: -1\n", "apps: [{app_id: 1, server_secret: hunter2hunter2}]\n",
		"a: &a [*a]\n", "<<: {a: b}\n", "? a\n: b\n", "- - -\n", "{", "}", "\"", "|\n", ">\n\t", "---\n...\n---\n", "%YAML 1.2\n---\n",
		"zim: !!map {app_id: !!int 5}\n", "zim: {app_id: 7, server_secret: hunter2hunter2, rate: x}\n",
		"apps:\n- app_id: 1\n  server_secret_file: /dev/null\n  schedule: never\n-\n- 5\n", "\xff\xfe", "\ufeff", "zim:\r\n\trate: 5\r",
		"database: {url: 'postgres://u:hunter2hunter2@h/d'}\nzim: {server_secret: hunter2hunter2}\n",
	} {
		f.Add(seed, "")
	}
	f.Add("zim: {app_id: 7}\n", "hunter2hunter2")
	path := f.TempDir() + "/p.yaml"
	f.Fuzz(func(t *testing.T, text, envSecret string) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		r := configReader{path: path, env: map[string]string{}, needs: needApps | needSecrets, parseSchedule: refuseNever}
		if envSecret != "" {
			r.env["POLLER_ZIM_SERVER_SECRET"] = envSecret
		}
		cfg, err := r.read()
		var fs faults
		if err != nil && (!errors.As(err, &fs) || len(fs) == 0) {
			t.Fatalf("the error is %T %v, want faults", err, err)
		}
		if err != nil {
			_ = fs.Error()
			return
		}
		if len(cfg.Apps) == 0 {
			t.Fatal("no app, and no fault")
		}
		for _, a := range cfg.Apps {
			if a.AppID == 0 || a.ServerSecret == "" || a.Rate < minRate || a.BatchSize < 1 || a.BatchSize > 100 || a.Timeout <= 0 || a.BaseURL == "" || a.Schedule == "" {
				t.Fatalf("an incomplete app, and no fault: %+v", a)
			}
		}
		if share := cfg.Plausibility.MaxOfflineShare; cfg.StaleAfter < 0 || cfg.Hold.Offline < 0 || cfg.Hold.Online < 0 || share < 0 || share >= 1 || cfg.Plausibility.Patience <= 0 {
			t.Fatalf("no fault in stale_after %v, hold %+v, plausibility %+v", cfg.StaleAfter, cfg.Hold, cfg.Plausibility)
		}
		if err := writeSettings(&strings.Builder{}, cfg); err != nil {
			t.Fatal(err)
		}
	})
}
