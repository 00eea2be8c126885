package check

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
)

// setUp copies deploy, runs setup in it, and returns the directory of Compose.
func setUp(t *testing.T, args ...string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "deploy")
	for _, part := range []string{"compose", "prometheus", "grafana"} {
		if err := os.CopyFS(filepath.Join(dir, part), os.DirFS(filepath.Join("..", part))); err != nil {
			t.Fatal(err)
		}
	}
	compose := filepath.Join(dir, "compose")
	for _, made := range []string{"secrets", ".env"} { // of whoever runs the test
		if err := os.RemoveAll(filepath.Join(compose, made)); err != nil {
			t.Fatal(err)
		}
	}
	if said, err := exec.CommandContext(t.Context(), filepath.Join(compose, "setup"), args...).CombinedOutput(); err != nil {
		t.Fatalf("setup: %v\n%s", err, said)
	}
	return compose
}

func load(t *testing.T, dir string, files ...string) *types.Project {
	t.Helper()
	for i := range files {
		files[i] = filepath.Join(dir, files[i])
	}
	options, err := cli.NewProjectOptions(files, cli.WithWorkingDirectory(dir), cli.WithEnvFiles(), cli.WithDotEnv)
	if err != nil {
		t.Fatal(err)
	}
	project, err := options.LoadProject(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return project
}

func TestCompose(t *testing.T) {
	dir := setUp(t, "--simulated")
	for _, files := range [][]string{{"compose.yaml"}, {"compose.yaml", "compose.simulated.yaml"}} {
		project := load(t, dir, files...)
		used := map[string]bool{}
		for name, service := range project.Services {
			checkHardened(t, name, service)
			checkSources(t, dir, name, service)
			for _, s := range service.Secrets {
				used[s.Source] = true
			}
			for other, on := range service.DependsOn {
				if on.Condition == types.ServiceConditionHealthy && project.Services[other].HealthCheck == nil {
					t.Errorf("%s waits for %s to be healthy, which has no health check", name, other)
				}
			}
		}
		for name, secret := range project.Secrets {
			if text, err := os.ReadFile(secret.File); err != nil || len(text) == 0 || !used[name] {
				t.Errorf("secret %s: %v, %d bytes, used: %t", name, err, len(text), used[name])
			}
		}
		if got := *project.Services["poller"].Environment["POLLER_ZIM_APP_ID"]; got != "1234567890" {
			t.Errorf("the app is %q", got)
		}
	}
}

// checkHardened refuses what a service may more than it has to.
func checkHardened(t *testing.T, name string, s types.ServiceConfig) {
	if !s.ReadOnly || s.Privileged || !slices.Equal(s.CapDrop, []string{"ALL"}) || len(s.CapAdd) > 0 ||
		!slices.Contains(s.SecurityOpt, "no-new-privileges:true") {
		t.Errorf("%s is not confined", name)
	}
	if s.Restart == "" {
		t.Errorf("%s does not come back", name)
	}
	for _, p := range s.Ports {
		if p.HostIP != "127.0.0.1" {
			t.Errorf("%s listens on %q:%s", name, p.HostIP, p.Published)
		}
	}
	if _, tag, found := strings.Cut(s.Image, ":"); !found || tag == "latest" {
		t.Errorf("%s: the image %s is of no version", name, s.Image)
	}
}

// checkSources looks for what is mounted. Only what setup makes is not in the repository.
func checkSources(t *testing.T, dir, name string, s types.ServiceConfig) {
	for _, v := range s.Volumes {
		if v.Type != types.VolumeTypeBind {
			continue
		}
		if _, err := os.Stat(v.Source); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if !v.ReadOnly {
			t.Errorf("%s may write to %s", name, v.Source)
		}
	}
}

// Passwords stay, and the secret of the simulated app is not taken for another's.
func TestComposeSetupAgain(t *testing.T) {
	dir := setUp(t, "--simulated")
	before := secrets(t, dir)
	again := exec.CommandContext(t.Context(), filepath.Join(dir, "setup"), "77")
	again.Stdin = strings.NewReader("00112233445566778899aabbccddeeff\n")
	if said, err := again.CombinedOutput(); err != nil {
		t.Fatalf("setup: %v\n%s", err, said)
	}
	after := secrets(t, dir)
	for name, text := range before {
		if about := name == "zim_server_secret" || name == "nats_users"; about != (after[name] != text) {
			t.Errorf("%s is %q now, and was %q", name, after[name], text)
		}
	}
	if got := after["zim_server_secret"]; got != "00112233445566778899aabbccddeeff" {
		t.Errorf("the ServerSecret is %q", got)
	}
	if users := after["nats_users"]; strings.Contains(users, "1234567890") || !strings.Contains(users, "PRESENCE_77") || strings.Contains(users, "password: secret") {
		t.Errorf("users of NATS:\n%s", users)
	}
}

func secrets(t *testing.T, dir string) map[string]string {
	t.Helper()
	files, err := os.ReadDir(filepath.Join(dir, "secrets"))
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for _, f := range files {
		text, err := os.ReadFile(filepath.Join(dir, "secrets", f.Name()))
		if err != nil {
			t.Fatal(err)
		}
		all[f.Name()] = string(text)
	}
	return all
}
