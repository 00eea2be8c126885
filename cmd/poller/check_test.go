package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
)

// runCheck runs poller check as main would, and returns its exit code and what it wrote.
func runCheck(t *testing.T, environ []string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errOut bytes.Buffer
	var cli struct {
		globals
		Check checkCmd `cmd:""`
	}
	cli.Stdout, cli.Stderr, cli.Environ, cli.ParseSchedule = &out, &errOut, environ, refuseNever
	parser, err := kong.New(&cli)
	if err != nil {
		t.Fatalf("the command line: %v", err)
	}
	ctx, err := parser.Parse(append([]string{"check"}, args...))
	if err == nil {
		err = ctx.Run(&cli.globals)
	}
	var exit kong.ExitCoder
	switch {
	case errors.As(err, &exit):
		code = exit.ExitCode()
	case err != nil:
		code = 1
	}
	if err != nil && err.Error() != "" {
		fmt.Fprintln(&errOut, err)
	}
	return code, out.String(), errOut.String()
}

// refuseNever stands for the schedule room: it knows two bad schedules, and names one of them as that room does.
func refuseNever(spec string) error {
	if spec == "never" {
		return errors.New("is no schedule")
	}
	if spec == "named" {
		return fmt.Errorf("schedule %q: is no schedule", spec)
	}
	return nil
}

// writeFile writes a file of its own for the test and returns its path.
func writeFile(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestCheckShowsWhatIsInEffect(t *testing.T) {
	path := writeFile(t, "p.yaml", "zim:\n  app_id: 7\n  rate: 0.5\ndatabase: {url: 'postgres://u:hunter2hunter2@db/p'}\n")
	code, stdout, stderr := runCheck(t, []string{"POLLER_ZIM_SERVER_SECRET=topsecretvalue", "HOME=/home/u"}, "--config", path)
	if code != 0 || stderr != "" {
		t.Fatalf("exit code %d, stderr %q, want 0 and nothing", code, stderr)
	}
	for _, want := range [][]string{
		{"zim.app_id", "7", "file, line 2"},
		{"zim.rate", "0.5", "file, line 3"},
		{"zim.server_secret", mask, "env POLLER_ZIM_SERVER_SECRET"},
		{"database.url", "postgres://u:" + mask + "@db/p", "file, line 4"},
		{"data_dir", "/home/u/.local/share/poller", "default"},
		{"lease.ttl", "10s", "default"},
		{"stale_after", "0s", "default"},
		{"hold.offline", "0s", "default"},
		{"plausibility.max_offline_share", "0", "default"},
		{"plausibility.patience", "30s", "default"},
		{"nats.url", `""`, "default"},
		{"stream.max_age", "30d", "default"},
	} {
		if !hasRow(stdout, want) {
			t.Errorf("no row %q in:\n%s", want, stdout)
		}
	}
	refuseWords(t, stdout, "topsecretvalue", "hunter2")
}

func hasRow(table string, cells []string) bool {
	for line := range strings.Lines(table) {
		if strings.Join(strings.Fields(line), " ") == strings.Join(cells, " ") {
			return true
		}
	}
	return false
}

func refuseWords(t *testing.T, text string, words ...string) {
	t.Helper()
	for _, w := range words {
		if strings.Contains(text, w) {
			t.Errorf("%q is shown in:\n%s", w, text)
		}
	}
}

func TestCheckJSON(t *testing.T) {
	path := writeFile(t, "p.yaml", "zim: {app_id: 7, server_secret: topsecretvalue}\napps: []\nschedule: '@every 9s'\n")
	code, stdout, stderr := runCheck(t, []string{"POLLER_ZIM_RATE=3"}, "-o", "json", "--config", path)
	if code != 0 || stderr != "" {
		t.Fatalf("exit code %d, stderr %q, want 0 and nothing", code, stderr)
	}
	var report checked
	if err := json.Unmarshal([]byte(stdout), &report); err != nil {
		t.Fatalf("%v in %s", err, stdout)
	}
	if !report.OK || len(report.Faults) != 0 {
		t.Errorf("ok %v, faults %v, want true and none", report.OK, report.Faults)
	}
	got := map[string]setting{}
	for _, s := range report.Settings {
		got[s.Key] = s
	}
	for _, want := range []setting{
		{Key: "zim.app_id", Value: 7.0, Source: "file", File: path, Line: 1},
		{Key: "zim.server_secret", Value: mask, Source: "file", File: path, Line: 1},
		{Key: "zim.rate", Value: 3.0, Source: "env", Env: "POLLER_ZIM_RATE"},
		{Key: "schedule", Value: "@every 9s", Source: "file", File: path, Line: 3},
		{Key: "zim.timeout", Value: "5s", Source: "default"},
		{Key: "nats.tls.handshake_first", Value: false, Source: "default"},
	} {
		if got[want.Key] != want {
			t.Errorf("%s is %+v, want %+v", want.Key, got[want.Key], want)
		}
	}
	refuseWords(t, stdout, "topsecretvalue")
}

func TestCheckReportsFaults(t *testing.T) {
	path := writeFile(t, "p.yaml", "zim:\n  rate: -1\n  app_di: 7\n")
	code, stdout, stderr := runCheck(t, nil, "--config", path)
	if code != exitUsage || stdout != "" {
		t.Errorf("exit code %d, stdout %q, want 2 and nothing", code, stdout)
	}
	want := path + `:2:9: zim.rate: must be from 0.001 to 100000 requests a second
   2 |   rate: -1
               ^
` + path + `:3:3: zim.app_di: unknown key: did you mean app_id?
   3 |   app_di: ` + mask + `
         ^
zim.app_id: no app: set zim.app_id (POLLER_ZIM_APP_ID), or list several under apps
zim.server_secret: missing secret: the app needs zim.server_secret (POLLER_ZIM_SERVER_SECRET) or zim.server_secret_file (POLLER_ZIM_SERVER_SECRET_FILE)
4 faults in the configuration
`
	if stderr != want {
		t.Errorf("got:\n%s\nwant:\n%s", stderr, want)
	}

	code, stdout, stderr = runCheck(t, nil, "-o", "json", "--config", path)
	var report checked
	if err := json.Unmarshal([]byte(stdout), &report); err != nil {
		t.Fatalf("%v in %s", err, stdout)
	}
	if code != exitUsage || report.OK || len(report.Faults) != 4 || report.Faults[0].Line != 2 || stderr != "" {
		t.Errorf("exit code %d, report %+v, stderr %q, want 2, four faults, and no text beside them", code, report, stderr)
	}
}

func TestCheckCommandLine(t *testing.T) {
	for _, args := range [][]string{{"-o", "xml"}, {"--confg", "x"}, {"extra"}} {
		if code, _, _ := runCheck(t, nil, args...); code == 0 {
			t.Errorf("check %q exits with 0, want an error", args)
		}
	}
}

func TestCheckFindsTheFileByVariable(t *testing.T) {
	named := writeFile(t, "named.yaml", "zim: {app_id: 7, server_secret: s}\n")
	bad := writeFile(t, "bad.yaml", "zim: {rate: none}\n")
	if code, stdout, stderr := runCheck(t, []string{"POLLER_CONFIG=" + named}); code != 0 || !hasRow(stdout, []string{"zim.app_id", "7", "file, line 1"}) {
		t.Errorf("exit code %d, stdout %s, stderr %s", code, stdout, stderr)
	}
	if code, _, stderr := runCheck(t, []string{"POLLER_CONFIG=" + bad}, "--config", named); code != 0 {
		t.Errorf("the flag does not win over the variable: %s", stderr)
	}
}
