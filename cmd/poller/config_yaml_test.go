package main

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// minimal is a whole configuration.
const minimal = "zim: {app_id: 7, server_secret: s}\n"

// readText reads a configuration file with this text below an environment of NAME=value entries.
func readText(t *testing.T, text string, environ ...string) (config, faults) {
	t.Helper()
	return readWith(t, needAll, text, environ...)
}

func readWith(t *testing.T, need needs, text string, environ ...string) (config, faults) {
	t.Helper()
	r := configReader{env: environment(environ), needs: need, parseSchedule: refuseNever}
	if text != "" {
		r.path = writeFile(t, "p.yaml", text)
	}
	cfg, err := r.read()
	var fs faults
	if err != nil && !errors.As(err, &fs) {
		t.Fatalf("the error is a %T, want faults: %v", err, err)
	}
	return cfg, fs
}

// where lists the faults as line:column key, those of the environment as their variable.
func where(fs faults) []string {
	var all []string
	for _, f := range fs {
		switch {
		case f.Env != "":
			all = append(all, f.Env)
		case f.Line > 0:
			all = append(all, strings.TrimSpace(fmt.Sprintf("%d:%d %s", f.Line, f.Column, f.Key)))
		default:
			all = append(all, strings.TrimSpace("- "+f.Key))
		}
	}
	return all
}

func TestBadFiles(t *testing.T) {
	for _, test := range []struct {
		name, text string
		want       string // line:column key
		says       string // in the message
	}{
		{"unknown key", minimal + "shedule: x\n", "2:1 shedule", "unknown key: did you mean schedule?"},
		{"unknown key, far from all", minimal + "colour: red\n", "2:1 colour", "unknown key"},
		{"unknown key in a section", minimal + "nats:\n  tls:\n    cacert: x\n", "4:5 nats.tls.cacert", "unknown key"},
		{"unknown key in an app", "apps:\n- app_id: 1\n  server_secret: s\n  rates: 5\n", "4:3 apps[0].rates", "did you mean rate?"},
		{"key twice", minimal + "data_dir: a\nschedule: '@every 1s'\ndata_dir: b\n", "4:1 data_dir", "first in line 2"},
		{"section twice", minimal + "log: {level: info}\nlog: {level: warn}\n", "3:1 log", "first in line 2"},
		{"key twice in a section", minimal + "log:\n  level: info\n  level: warn\n", "4:3 log.level", "first in line 3"},
		{"text for a section", minimal + "nats: localhost\n", "2:7 nats", "a section of keys, not text"},
		{"list for a section", minimal + "nats:\n- url: x\n", "3:1 nats", "not a list"},
		{"section for a list", "apps:\n  app_id: 1\nzim: {app_id: 7, server_secret: s}\n", "2:3 apps", "must be a list"},
		{"text in a list", "apps: [one]\n", "1:8 apps[0]", "not text"},
		{"section for a value", minimal + "schedule:\n  every: 1m\n", "3:3 schedule", "not a section"},
		{"list for a value", minimal + "nats:\n  url: [a, b]\n", "3:8 nats.url", "must be text, not a list"},
		{"word for a number", minimal + "nats: {replicas: three}\n", "2:18 nats.replicas", "whole number"},
		{"fraction for a whole number", minimal + "nats: {replicas: 1.5}\n", "2:18 nats.replicas", "whole number"},
		{"hexadecimal number", minimal + "nats: {replicas: 0x2}\n", "2:18 nats.replicas", "whole number"},
		{"quoted number", minimal + "nats: {replicas: '3'}\n", "2:18 nats.replicas", "without quotes"},
		{"bool for a number", minimal + "nats: {replicas: true}\n", "2:18 nats.replicas", "whole number"},
		{"number for text", minimal + "data_dir: 5\n", "2:11 data_dir", "put it in quotes"},
		{"bool for text", minimal + "log: {level: true}\n", "2:14 log.level", "must be text"},
		{"secret that looks like a number", "zim:\n  app_id: 7\n  server_secret: 12345678\n", "3:18 zim.server_secret", "put it in quotes"},
		{"word for a bool", minimal + "nats: {tls: {handshake_first: yes}}\n", "2:31 nats.tls.handshake_first", "true or false"},
		{"no value", minimal + "http:\n  listen:\n", "3:3 http.listen", `write ""`},
		{"no unit", minimal + "lease: {ttl: 10}\n", "2:14 lease.ttl", "with its unit"},
		{"unit unknown", minimal + "lease: {ttl: 10x}\n", "2:14 lease.ttl", "with its unit"},
		{"lease too short", minimal + "lease: {ttl: 1s}\n", "2:14 lease.ttl", "from 2s to 10m"},
		{"rate of zero", "zim:\n  app_id: 7\n  server_secret: s\n  rate: 0\n", "4:9 zim.rate", "from 0.001"},
		{"rate below zero", "zim:\n  app_id: 7\n  server_secret: s\n  rate: -5\n", "4:9 zim.rate", "from 0.001"},
		{"rate beyond all", "zim:\n  app_id: 7\n  server_secret: s\n  rate: 1e9\n", "4:9 zim.rate", "to 100000"},
		{"rate that is none", "zim:\n  app_id: 7\n  server_secret: s\n  rate: .nan\n", "4:9 zim.rate", "must be a number"},
		{"rate without end", "zim:\n  app_id: 7\n  server_secret: s\n  rate: .inf\n", "4:9 zim.rate", "must be a number"},
		{"batch too large", "zim:\n  app_id: 7\n  server_secret: s\n  batch_size: 101\n", "4:15 zim.batch_size", "from 1 to 100"},
		{"batch of none", "zim:\n  app_id: 7\n  server_secret: s\n  batch_size: 0\n", "4:15 zim.batch_size", "from 1 to 100"},
		{"timeout too long", "zim:\n  app_id: 7\n  server_secret: s\n  timeout: 2m\n", "4:12 zim.timeout", "from 100ms to 1m"},
		{"app id of zero", "zim:\n  app_id: 0\n  server_secret: s\n", "2:11 zim.app_id", "from 1 to 4294967295"},
		{"app id too large", "zim:\n  app_id: 4294967296\n  server_secret: s\n", "2:11 zim.app_id", "from 1 to 4294967295"},
		{"base url without scheme", "zim:\n  app_id: 7\n  server_secret: s\n  base_url: zim-api.zego.im\n", "4:13 zim.base_url", "absolute"},
		{"base url with query", "zim:\n  app_id: 7\n  server_secret: s\n  base_url: https://h/?a=b\n", "4:13 zim.base_url", "before any ?"},
		{"base url of another scheme", "zim:\n  app_id: 7\n  server_secret: s\n  base_url: ftp://h\n", "4:13 zim.base_url", "absolute"},
		{"bad schedule", minimal + "schedule: never\n", "2:11 schedule", "is no schedule"},
		{"empty schedule", minimal + "schedule: ''\n", "2:11 schedule", "cron"},
		{"bad schedule of an app", "apps:\n- {app_id: 1, server_secret: s, schedule: never}\n", "2:43 apps[0].schedule", "is no schedule"},
		{"bad listen", minimal + "http: {listen: 8080}\n", "2:16 http.listen", "must be text"},
		{"bad port", minimal + "http: {listen: ':80808'}\n", "2:16 http.listen", "host:port"},
		{"empty nats listen", minimal + "nats: {listen: ''}\n", "2:16 nats.listen", "host:port"},
		{"bad server list", minimal + "nats: {url: 'nats://a:4222,http://b'}\n", "2:13 nats.url", "server 2"},
		{"bad DSN", minimal + "database: {url: 'mysql://x'}\n", "2:17 database.url", "not a Postgres URL"},
		{"bad pool option", minimal + "database: {url: 'postgres://h/d?pool_max_conns=many'}\n", "2:17 database.url", "an option of no use"},
		{"bad level", minimal + "log: {level: inof}\n", "2:14 log.level", "did you mean info?"},
		{"bad format", minimal + "log: {format: xml}\n", "2:15 log.format", "one of json, console"},
		{"cert without key", minimal + "nats: {tls: {cert: c.pem}}\n", "2:20 nats.tls.cert", "nats.tls.key"},
		{"key without cert", minimal + "nats: {tls: {key: k.pem}}\n", "2:19 nats.tls.key", "nats.tls.cert"},
		{"file that is not there", minimal + "nats: {url: 'nats://a', creds: /nowhere/x.creds}\n", "2:32 nats.creds", "no such file"},
		{"directory for a file", minimal + "nats: {url: 'nats://a', creds: /}\n", "2:32 nats.creds", "is a directory"},
		{"same address twice", minimal + "http: {listen: '127.0.0.1:4222'}\n", "2:16 http.listen", "the same address"},
		{"stale too soon", minimal + "stale_after: 9s\n", "2:14 stale_after", "from 10s to 365d, or 0 for off"},
		{"stale too late", minimal + "stale_after: 366d\n", "2:14 stale_after", "from 10s to 365d"},
		{"stale before now", minimal + "stale_after: -1m\n", "2:14 stale_after", "from 10s to 365d"},
		{"hold of more than an hour", minimal + "hold: {offline: 61m}\n", "2:17 hold.offline", "from 0s to 1h"},
		{"hold below zero", minimal + "hold: {online: -1s}\n", "2:16 hold.online", "from 0s to 1h"},
		{"share of all", minimal + "plausibility: {max_offline_share: 1}\n", "2:35 plausibility.max_offline_share", "over 0 and under 1"},
		{"share below none", minimal + "plausibility: {max_offline_share: -0.1}\n", "2:35 plausibility.max_offline_share", "over 0 and under 1"},
		{"share in percent", minimal + "plausibility: {max_offline_share: 30}\n", "2:35 plausibility.max_offline_share", "such as 0.3"},
		{"no patience", minimal + "plausibility: {patience: 0s}\n", "2:26 plausibility.patience", "from 1s to 10m"},
		{"stale before a hold is over", minimal + "stale_after: 1m\nhold: {offline: 2m}\n", "2:14 stale_after", "1m is shorter than hold.offline (2m)"},
		{"stale before the other hold is over", minimal + "stale_after: 1m\nhold: {online: 61s}\n", "2:14 stale_after", "1m is shorter than hold.online (1m1s)"},
		{"stale before an incident is over", minimal + "stale_after: 44s\nplausibility: {max_offline_share: 0.3}\n", "2:14 stale_after", "44s is shorter than plausibility.patience (30s) and 15s: a sweep waits"},
		{"stale before a long incident is over", minimal + "stale_after: 60s\nplausibility: {max_offline_share: 0.3, patience: 50s}\n", "2:14 stale_after", "1m is shorter than plausibility.patience (50s) and 15s"},
		{"ledger shorter than stream", minimal + "retention: {transitions: 7d}\n", "2:26 retention.transitions", "7d is shorter than stream.max_age (30d)"},
		{"stream longer than ledger", minimal + "stream: {max_age: 91d}\n", "2:19 stream.max_age", "91d is longer than retention.transitions (90d)"},
		{"snapshots shorter than transitions", minimal + "retention: {snapshots: 89d}\n", "2:24 retention.snapshots", "shorter than retention.transitions"},
		{"hourly for less than every sweep", minimal + "retention: {hourly: 6d, every_sweep: 7d}\n", "2:21 retention.hourly", "6d is shorter than retention.every_sweep (7d)"},
		{"every sweep for longer than hourly", minimal + "retention: {every_sweep: 91d}\n", "2:26 retention.every_sweep", "91d is longer than retention.hourly (90d)"},
		{"hourly for longer than daily", minimal + "retention: {hourly: 401d}\n", "2:21 retention.hourly", "401d is longer than retention.snapshots (400d)"},
		{"every sweep for no day", minimal + "retention: {every_sweep: 23h}\n", "2:26 retention.every_sweep", "from 1d to 3650d"},
		{"missing secret", "zim:\n  app_id: 7\n", "2:11 zim.app_id", "missing secret"},
		{"empty secret", "zim:\n  app_id: 7\n  server_secret: ''\n", "3:18 zim.server_secret", "missing secret"},
		{"secret with a space", "zim:\n  app_id: 7\n  server_secret: 'a b'\n", "3:18 zim.server_secret", "white space"},
		{"missing secret of an app", "apps:\n- app_id: 1\n  rate: 5\n", "2:11 apps[0].app_id", "missing secret"},
		{"missing app id", "apps:\n- server_secret: s\n", "2:3 apps[0]", "app_id is missing"},
		{"empty entry", "apps:\n- app_id: 1\n  server_secret: s\n-\n", "4:1 apps[1]", "has no keys"},
		{"same app twice", "apps:\n- {app_id: 1, server_secret: s}\n- {app_id: 1, server_secret: s}\n", "3:12 apps[1].app_id", "listed already, as apps[0]"},
		{"secret and file", "zim:\n  app_id: 7\n  server_secret: s\n  server_secret_file: /f\n", "4:23 zim.server_secret_file", "only one"},
		{"DSN and file", minimal + "database:\n  url: host=h\n  url_file: /f\n", "4:13 database.url_file", "only one"},
		{"secret file that is not there", "zim: {app_id: 7, server_secret_file: /nowhere/s}\n", "1:38 zim.server_secret_file", "/nowhere/s: cannot be read: no such file"},
		{"secret and variable", "apps:\n- {app_id: 1, server_secret: s, server_secret_env: S}\n", "2:52 apps[0].server_secret_env", "only one"},
		{"variable that is not set", "apps:\n- {app_id: 1, server_secret_env: S}\n", "2:34 apps[0].server_secret_env", "S is not set"},
		{"secret for a variable's name", "apps:\n- {app_id: 1, server_secret_env: a-b}\n", "2:34 apps[0].server_secret_env", "not the secret itself"},
		{"anchor", minimal + "log: &a {level: info}\n", "2:6 log", "not supported"},
		{"merge key", minimal + "log:\n  <<: {level: info}\n", "3:3 log", "not supported"},
		{"tag", minimal + "data_dir: !!str x\n", "2:11 data_dir", "not supported"},
		{"key that is a number", minimal + "5: x\n", "2:1", "plain word"},
		{"second document", minimal + "---\nzim: {app_id: 8}\n", "3:1", "second document"},
		{"list for the whole", "- a\n", "1:1", "must be a section"},
		{"not YAML: quote", minimal + "data_dir: \"x\n", "2:11", "is not YAML"},
		{"not YAML: bracket", minimal + "apps: [\n", "2:7", "is not YAML"},
		{"not YAML: indent", minimal + "log:\n  level: info\n format: json\n", "4:2", "is not YAML"},
		{"not UTF-8", minimal + "data_dir: \xff\n", "-", "UTF-8"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, fs := readText(t, test.text)
			got := where(fs)
			if len(got) == 0 || got[0] != test.want {
				t.Fatalf("faults at %q, want first %q\n%v", got, test.want, fs)
			}
			if !strings.Contains(fs[0].Message, test.says) {
				t.Errorf("the message is %q, want %q in it", fs[0].Message, test.says)
			}
			if len(fs) > 1 {
				t.Errorf("one mistake has a second fault: %v", fs[1])
			}
		})
	}
}

// TestAllFaultsAtOnce has a mistake of every kind in one file and its environment.
func TestAllFaultsAtOnce(t *testing.T) {
	text := `zim:
  rate: 0
  batch_size: many
  base_url: nowhere
schedule: never
nats: [a]
data_dir: a
data_dir: b
apps:
  - app_id: 5
    server_secret: s
  - app_id: 5
    server_secret: s
    colour: red
    timeout: 5
http:
  listen: nonsense
unheard: of
`
	_, fs := readText(t, text, "POLLER_LEASE_TTL=soon", "POLLER_NATS_REPLICAS=9", "POLLER_ZIM_APPID=5")
	want := []string{
		"2:9 zim.rate", "3:15 zim.batch_size", "4:13 zim.base_url", "5:11 schedule", "6:7 nats", "8:1 data_dir",
		"12:13 apps[1].app_id", "14:5 apps[1].colour", "15:14 apps[1].timeout", "17:11 http.listen", "18:1 unheard",
		"POLLER_LEASE_TTL", "POLLER_NATS_REPLICAS", "POLLER_ZIM_APPID",
	}
	if diff := cmp.Diff(want, where(fs)); diff != "" {
		t.Errorf("faults (-want +got):\n%s", diff)
	}
}

// TestSyntaxFaultSparesTheRest holds that a broken file is not also blamed for what could not be read.
func TestSyntaxFaultSparesTheRest(t *testing.T) {
	_, fs := readText(t, "zim:\n  app_id: 7\n  server_secret: [\n", "POLLER_ZIM_APP_ID=9", "POLLER_ZIM_RATE=x")
	if got, want := where(fs), []string{"3:18", "POLLER_ZIM_RATE"}; !cmp.Equal(got, want) {
		t.Errorf("faults at %q, want %q", got, want)
	}
}

func TestFilesThatSayNothing(t *testing.T) {
	for _, text := range []string{"\n", "# a comment\n", "---\n", "zim:\nnats:\napps:\n", "zim: {}\napps: []\n", "\ufeff# with a mark\n"} {
		cfg, fs := readText(t, text, "POLLER_ZIM_APP_ID=7", "POLLER_ZIM_SERVER_SECRET=s")
		if fs != nil || len(cfg.Apps) != 1 {
			t.Errorf("%q: faults %v, %d apps, want none, one", text, fs, len(cfg.Apps))
		}
	}
}

func TestFileOfOtherSystems(t *testing.T) {
	cfg, fs := readText(t, "\ufeffzim:\r\n  app_id: 7\r\n  server_secret: s\r\n  rate: 5\r\n")
	if fs != nil || cfg.ZIM.Rate != 5 || cfg.ZIM.ServerSecret != "s" {
		t.Errorf("faults %v, rate %v, want none, 5", fs, cfg.ZIM.Rate)
	}
	_, fs = readText(t, "\ufeffzim:\r\n  app_id: 7\r\n  server_secret: s\r\n  rate: 0\r\n")
	if got, want := where(fs), []string{"4:9 zim.rate"}; !cmp.Equal(got, want) {
		t.Errorf("faults at %q, want %q", got, want)
	}
	if got, want := fs[0].Excerpt, "   4 |   rate: 0\n               ^"; got != want {
		t.Errorf("the excerpt is\n%s\nwant\n%s", got, want)
	}
}

func TestFileThatCannotBeRead(t *testing.T) {
	for path, says := range map[string]string{
		"/nowhere/p.yaml": "no such file",
		t.TempDir():       "is a directory",
		writeFile(t, "long.yaml", strings.Repeat("# long\n", maxConfigFile/6)): "larger than",
	} {
		_, err := configReader{path: path, needs: needAll}.read()
		var fs faults
		if !errors.As(err, &fs) || len(fs) != 1 || fs[0].File != path || !strings.Contains(fs[0].Message, says) {
			t.Errorf("%s: %v, want the one fault %q", path, err, says)
		}
	}
}

// Whoever keeps less of the long run need not say so of each age.
func TestRetentionDefaultsFollow(t *testing.T) {
	for text, want := range map[string]retentionConfig{
		"{transitions: 45d, snapshots: 60d}": {Transitions: 45 * day, EverySweep: 7 * day, Hourly: 60 * day, Snapshots: 60 * day},
		"{hourly: 3d}":                       {Transitions: 90 * day, EverySweep: 3 * day, Hourly: 3 * day, Snapshots: 400 * day},
		"{}":                                 {Transitions: 90 * day, EverySweep: 7 * day, Hourly: 90 * day, Snapshots: 400 * day},
	} {
		cfg, fs := readText(t, minimal+"retention: "+text+"\n")
		if len(fs) > 0 || cfg.Retention != want {
			t.Errorf("%s is %+v, %v, want %+v", text, cfg.Retention, fs, want)
		}
	}
}

// Who goes stale has to be older than an incident lasts, where there may be one.
func TestStaleOutlivesAnIncident(t *testing.T) {
	for text, good := range map[string]bool{
		"stale_after: 45s\nplausibility: {max_offline_share: 0.3}\n":                 true,
		"stale_after: 44s\nplausibility: {max_offline_share: 0.3}\n":                 false,
		"stale_after: 16s\nplausibility: {max_offline_share: 0.3, patience: 1s}\n":   true,
		"stale_after: 15s\nplausibility: {max_offline_share: 0.3, patience: 1s}\n":   false,
		"stale_after: 10s\nplausibility: {patience: 10m}\n":                          true,
		"stale_after: 0s\nplausibility: {max_offline_share: 0.3, patience: 10m}\n":   true,
		"stale_after: 615s\nplausibility: {max_offline_share: 0.3, patience: 10m}\n": true,
	} {
		if _, faults := readText(t, minimal+text); (len(faults) == 0) != good {
			t.Errorf("%s: faults %v, want none: %t", text, where(faults), good)
		}
	}
}
