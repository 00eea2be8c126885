package check

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
)

func TestNATS(t *testing.T) {
	dir := setUp(t, "--simulated")
	text, err := os.ReadFile(filepath.Join(dir, "nats.conf"))
	if err != nil {
		t.Fatal(err)
	}
	// In the container the file is in /etc/nats, and the secret in /run/secrets.
	there := strings.Replace(string(text), `"../../run/secrets/nats_users"`, `"secrets/nats_users"`, 1)
	if there == string(text) {
		t.Fatalf("nats.conf does not include the users from where Compose puts them:\n%s", text)
	}
	file := filepath.Join(dir, "there.conf")
	if err := os.WriteFile(file, []byte(there), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := server.ProcessConfigFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !got.JetStream || !got.SyncAlways || got.StoreDir != "/data" {
		t.Errorf("JetStream %t, synced always %t, in %q", got.JetStream, got.SyncAlways, got.StoreDir)
	}
	known := map[string]bool{}
	for _, u := range got.Users {
		known[u.Username] = u.Permissions != nil && len(u.Password) == 48
	}
	if len(known) != 2 || !known["poller"] || !known["reader"] {
		t.Errorf("users %v, want poller and reader, with passwords and permissions", known)
	}
}
