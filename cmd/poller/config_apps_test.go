package main

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestAppsInherit(t *testing.T) {
	file := writeFile(t, "secret", "fromfile\r\n")
	cfg, fs := readText(t, `
schedule: "@every 2m"
zim: {rate: 7, base_url: "https://fra", batch_size: 9}
apps:
  - {app_id: 1, server_secret: direct}
  - {app_id: 2, server_secret_file: `+file+`, rate: 0.25, timeout: 1s}
  - {app_id: 3, server_secret_env: SECRET_3, schedule: "*/5 * * * *", base_url: "http://sim:1", batch_size: 1}
`, "SECRET_3=fromenv", "POLLER_ZIM_TIMEOUT=4s")
	if fs != nil {
		t.Fatal(fs)
	}
	want := []appConfig{
		{AppID: 1, ServerSecret: "direct", Schedule: "@every 2m", BaseURL: "https://fra", Rate: 7, BatchSize: 9, Timeout: 4 * time.Second},
		{AppID: 2, ServerSecret: "fromfile", ServerSecretFile: file, Schedule: "@every 2m", BaseURL: "https://fra", Rate: 0.25, BatchSize: 9, Timeout: time.Second},
		{AppID: 3, ServerSecret: "fromenv", ServerSecretEnv: "SECRET_3", Schedule: "*/5 * * * *", BaseURL: "http://sim:1", Rate: 7, BatchSize: 1, Timeout: 4 * time.Second},
	}
	// Compared by value: what is shown of a secret would be equal for any two.
	for i, a := range cfg.Apps {
		if a != want[i] {
			t.Errorf("app %d is %+v, want %+v (secret right: %v)", i, a, want[i], a.ServerSecret == want[i].ServerSecret)
		}
	}
	if len(cfg.Apps) != len(want) {
		t.Errorf("%d apps, want %d", len(cfg.Apps), len(want))
	}
	if got, want := cfg.origins["apps[0].rate"].String(), "from zim.rate"; got != want {
		t.Errorf("the origin of apps[0].rate is %q, want %q", got, want)
	}
}

func TestAppBesideApps(t *testing.T) {
	text := "apps:\n- {app_id: 1, server_secret: s}\nzim:\n  app_id: 2\n  server_secret: t\n"
	_, fs := readText(t, text)
	if got, want := where(fs), []string{"4:11 zim.app_id", "5:18 zim.server_secret"}; !cmp.Equal(got, want) {
		t.Errorf("faults at %q, want %q", got, want)
	}
	_, fs = readText(t, "apps:\n- {app_id: 1, server_secret: s}\n", "POLLER_ZIM_APP_ID=2", "POLLER_ZIM_SERVER_SECRET=t")
	if got, want := where(fs), []string{"POLLER_ZIM_APP_ID", "POLLER_ZIM_SERVER_SECRET"}; !cmp.Equal(got, want) {
		t.Errorf("faults at %q, want %q", got, want)
	}
}

// What is wrong with the app id hides nothing about the secret.
func TestAppIDAndSecretAtOnce(t *testing.T) {
	for _, test := range []struct {
		text    string
		environ []string
		want    []string
	}{
		{"", nil, []string{"- zim.app_id", "- zim.server_secret"}},
		{"zim: {server_secret: s}", nil, []string{"- zim.app_id"}},
		{"zim: {server_secret: 's s'}", nil, []string{"1:22 zim.server_secret", "- zim.app_id"}},
		{"zim: {app_id: abc}", nil, []string{"1:15 zim.app_id", "1:15 zim.app_id"}},
		{"zim: {app_id: 0}", nil, []string{"1:15 zim.app_id", "1:15 zim.app_id"}},
		{"zim: {app_id: 0, server_secret: s}", nil, []string{"1:15 zim.app_id"}},
		{"", []string{"POLLER_ZIM_APP_ID=abc"}, []string{"POLLER_ZIM_APP_ID", "POLLER_ZIM_APP_ID"}},
		{"", []string{"POLLER_ZIM_APP_ID=0"}, []string{"POLLER_ZIM_APP_ID", "POLLER_ZIM_APP_ID"}},
		{"", []string{"POLLER_ZIM_APP_ID=0", "POLLER_ZIM_SERVER_SECRET=s"}, []string{"POLLER_ZIM_APP_ID"}},
		{"", []string{"POLLER_ZIM_APP_ID=0", "POLLER_ZIM_SERVER_SECRET_FILE=/nowhere"}, []string{"POLLER_ZIM_APP_ID", "POLLER_ZIM_SERVER_SECRET_FILE"}},
	} {
		_, fs := readText(t, test.text+"\n", test.environ...)
		if got := where(fs); !cmp.Equal(got, test.want) {
			t.Errorf("%q, %q: faults at %q, want %q", test.text, test.environ, got, test.want)
		}
	}
}

func TestChooseApp(t *testing.T) {
	one := config{Apps: []appConfig{{AppID: 5}}}
	two := config{Apps: []appConfig{{AppID: 5}, {AppID: 6}}}
	for _, test := range []struct {
		name string
		cfg  config
		id   uint32
		want uint32 // 0: a usage error
	}{
		{"the only one", one, 0, 5},
		{"the only one, by id", one, 5, 5},
		{"another than the only one", one, 6, 0},
		{"none of two", two, 0, 0},
		{"one of two", two, 6, 6},
		{"a third of two", two, 7, 0},
		{"nobody", config{}, 0, 0},
		{"nobody, by id", config{}, 5, 0},
	} {
		got, err := test.cfg.app(test.id)
		if got.AppID != test.want || (err == nil) != (test.want != 0) {
			t.Errorf("%s: app %d, error %v, want %d", test.name, got.AppID, err, test.want)
		}
		var usage usageError
		if err != nil && (!errors.As(err, &usage) || usage.ExitCode() != exitUsage) {
			t.Errorf("%s: the error is a %T, want a usageError of exit code 2", test.name, err)
		}
	}
}

// TestSecretForms has the value and the file of a secret in the configuration file and the environment, in every way.
func TestSecretForms(t *testing.T) {
	file := writeFile(t, "a", "A\n")
	other := writeFile(t, "b", "B\n")
	empty := writeFile(t, "empty", "\n")
	for _, test := range []struct {
		name, zim string
		environ   []string
		want      string // the secret, or the place of the fault
	}{
		{"value", "server_secret: s", nil, "s"},
		{"file", "server_secret_file: " + file, nil, "A"},
		{"file by variable", "", []string{"POLLER_ZIM_SERVER_SECRET_FILE=" + file}, "A"},
		{"file by variable above a value", "server_secret: s", []string{"POLLER_ZIM_SERVER_SECRET_FILE=" + file}, "A"},
		{"file by variable above a file", "server_secret_file: " + other, []string{"POLLER_ZIM_SERVER_SECRET_FILE=" + file}, "A"},
		{"variable above a file", "server_secret_file: " + file, []string{"POLLER_ZIM_SERVER_SECRET=e"}, "e"},
		{"empty variable above a file", "server_secret_file: " + file, []string{"POLLER_ZIM_SERVER_SECRET="}, "POLLER_ZIM_SERVER_SECRET"},
		{"empty file variable above a value", "server_secret: s", []string{"POLLER_ZIM_SERVER_SECRET_FILE="}, "s"},
		{"empty file variable above a file", "server_secret_file: " + file, []string{"POLLER_ZIM_SERVER_SECRET_FILE="}, "1:15 zim.app_id"},
		{"both variables", "", []string{"POLLER_ZIM_SERVER_SECRET=e", "POLLER_ZIM_SERVER_SECRET_FILE=" + file}, "POLLER_ZIM_SERVER_SECRET_FILE"},
		{"both variables, one empty", "", []string{"POLLER_ZIM_SERVER_SECRET=", "POLLER_ZIM_SERVER_SECRET_FILE=" + file}, "A"},
		{"empty file", "", []string{"POLLER_ZIM_SERVER_SECRET_FILE=" + empty}, "POLLER_ZIM_SERVER_SECRET_FILE"},
		{"missing file", "", []string{"POLLER_ZIM_SERVER_SECRET_FILE=/nowhere"}, "POLLER_ZIM_SERVER_SECRET_FILE"},
	} {
		cfg, fs := readText(t, "zim: {app_id: 7, "+test.zim+"}\n", test.environ...)
		switch {
		case len(fs) == 1 && where(fs)[0] == test.want:
		case fs == nil && string(cfg.Apps[0].ServerSecret) == test.want && string(cfg.ZIM.ServerSecret) == test.want:
		default:
			t.Errorf("%s: secret %q, faults %v, want %q", test.name, string(cfg.ZIM.ServerSecret), fs, test.want)
		}
	}
}

func TestAddressesFromFiles(t *testing.T) {
	dsn := writeFile(t, "dsn", "postgres://u:p@h/d\n")
	servers := writeFile(t, "nats", "nats://t@a,nats://t@b\n")
	cfg, fs := readText(t, minimal, "POLLER_DATABASE_URL_FILE="+dsn, "POLLER_NATS_URL_FILE="+servers)
	if fs != nil || cfg.Database.URL != "postgres://u:p@h/d" || cfg.NATS.URL != "nats://t@a,nats://t@b" {
		t.Errorf("faults %v, got %q and %q", fs, string(cfg.Database.URL), string(cfg.NATS.URL))
	}
	_, fs = readText(t, minimal+"database: {url_file: "+servers+"}\n")
	if got, want := where(fs), []string{"2:22 database.url_file"}; !cmp.Equal(got, want) {
		t.Errorf("faults at %q, want %q", got, want)
	}
}

// The schedule's own error names it too: the fault says it once.
func TestScheduleNamedOnce(t *testing.T) {
	_, fs := readText(t, minimal+"schedule: named\n")
	if len(fs) != 1 || fs[0].Message != "is no schedule" {
		t.Errorf("faults %v, want one with the message %q", fs, "is no schedule")
	}
}
