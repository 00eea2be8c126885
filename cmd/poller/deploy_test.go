package main

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"testing"
)

// The configurations in deploy are ones that the program takes, with what is beside them.
func TestDeployConfigurations(t *testing.T) {
	secrets := t.TempDir()
	for name, text := range map[string]string{
		"zim_server_secret": "0123456789abcdef0123456789abcdef",
		"database_url":      "postgres://poller:secret@postgres:5432/presence",
		"nats_url":          "nats://poller:secret@nats:4222",
	} {
		if err := os.WriteFile(filepath.Join(secrets, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for file, env := range map[string][]string{
		"compose/config/poller.yaml": {
			"POLLER_ZIM_APP_ID=1234567890", "POLLER_ZIM_SERVER_SECRET_FILE=" + filepath.Join(secrets, "zim_server_secret"),
			"POLLER_DATABASE_URL_FILE=" + filepath.Join(secrets, "database_url"), "POLLER_NATS_URL_FILE=" + filepath.Join(secrets, "nats_url"),
		},
		"kubernetes/base/poller.yaml": {"POLLER_ZIM_APP_ID=1234567890"},
	} {
		text, err := os.ReadFile(filepath.Join("../../deploy", file))
		if err != nil {
			t.Fatal(err)
		}
		here := filepath.Join(t.TempDir(), "poller.yaml")
		if err := os.WriteFile(here, bytes.ReplaceAll(text, []byte("/etc/poller-secrets"), []byte(secrets)), 0o600); err != nil {
			t.Fatal(err)
		}
		var out, complaint bytes.Buffer
		if code := execute(t.Context(), []string{"check", "--config", here}, env, &out, &complaint); code != 0 {
			t.Errorf("%s: exit code %d\n%s", file, code, complaint.String())
		}
		if !regexp.MustCompile(`(?m)^http\.listen +"?0\.0\.0\.0:8080"? `).MatchString(out.String()) {
			t.Errorf("%s: nobody outside reaches it\n%s", file, out.String())
		}
	}
}
