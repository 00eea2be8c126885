package main

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestEnvironmentAlone(t *testing.T) {
	cfg, fs := readText(t, "", "POLLER_ZIM_APP_ID=4294967295", "POLLER_ZIM_SERVER_SECRET=s", "POLLER_ZIM_RATE=0.5",
		"POLLER_NATS_TLS_HANDSHAKE_FIRST=true", "POLLER_STREAM_MAX_AGE=720h", "POLLER_DATABASE_URL=host=db user=u",
		"POLLER_NATS_URL=nats://a:4222, tls://b", "XDG_DATA_HOME=/x")
	if fs != nil {
		t.Fatal(fs)
	}
	want := appConfig{AppID: 4294967295, ServerSecret: "s", Schedule: "@every 1m", BaseURL: "https://zim-api.zego.im",
		Rate: 0.5, BatchSize: 100, Timeout: 5 * time.Second}
	if diff := cmp.Diff([]appConfig{want}, cfg.Apps); diff != "" {
		t.Errorf("apps (-want +got):\n%s", diff)
	}
	if cfg.DataDir != "/x/poller" || !cfg.NATS.TLS.HandshakeFirst || cfg.Database.URL != "host=db user=u" ||
		cfg.NATS.URL != "nats://a:4222, tls://b" || cfg.Stream.MaxAge != 30*day {
		t.Errorf("got %+v", cfg)
	}
}

func TestEnvironmentWins(t *testing.T) {
	file := "zim: {app_id: 7, server_secret: s, rate: 5, timeout: 3s}\nhttp: {listen: ':1'}\nnats: {url: nats://a}\n"
	for _, test := range []struct {
		environ string
		check   func(config) (got, want any)
	}{
		{"POLLER_ZIM_RATE=6", func(c config) (any, any) { return c.Apps[0].Rate, 6.0 }},
		{"POLLER_ZIM_APP_ID=8", func(c config) (any, any) { return c.Apps[0].AppID, uint32(8) }},
		{"POLLER_ZIM_SERVER_SECRET=t", func(c config) (any, any) { return string(c.Apps[0].ServerSecret), "t" }},
		{"POLLER_SCHEDULE=@every 9s", func(c config) (any, any) { return c.Apps[0].Schedule, "@every 9s" }},
		{"POLLER_LEASE_TTL=1m", func(c config) (any, any) { return c.Lease.TTL, time.Minute }},
		{"POLLER_STALE_AFTER=1d12h", func(c config) (any, any) { return c.StaleAfter, 36 * time.Hour }},
		{"POLLER_STALE_AFTER=0", func(c config) (any, any) { return c.StaleAfter, time.Duration(0) }},
		{"POLLER_HOLD_OFFLINE=20s", func(c config) (any, any) { return c.Hold, holdConfig{Offline: 20 * time.Second} }},
		{"POLLER_HOLD_ONLINE=1h", func(c config) (any, any) { return c.Hold, holdConfig{Online: time.Hour} }},
		{"POLLER_PLAUSIBILITY_MAX_OFFLINE_SHARE=0.3", func(c config) (any, any) { return c.Plausibility.MaxOfflineShare, 0.3 }},
		{"POLLER_PLAUSIBILITY_PATIENCE=1m", func(c config) (any, any) { return c.Plausibility.Patience, time.Minute }},
		{"POLLER_HTTP_LISTEN=:2", func(c config) (any, any) { return c.HTTP.Listen, ":2" }},
		{"POLLER_HTTP_LISTEN=", func(c config) (any, any) { return c.HTTP.Listen, "" }},
		{"POLLER_NATS_URL=", func(c config) (any, any) { return string(c.NATS.URL), "" }},
		{"HTTP_LISTEN=:3", func(c config) (any, any) { return c.HTTP.Listen, ":1" }},
	} {
		cfg, fs := readText(t, file, test.environ)
		if fs != nil {
			t.Errorf("%s: %v", test.environ, fs)
			continue
		}
		if got, want := test.check(cfg); got != want {
			t.Errorf("%s: got %v, want %v", test.environ, got, want)
		}
	}
}

func TestBadVariables(t *testing.T) {
	for _, test := range []struct{ environ, want, says string }{
		{"POLLER_ZIM_RATE=fast", "POLLER_ZIM_RATE", "must be a number"},
		{"POLLER_ZIM_RATE=", "POLLER_ZIM_RATE", "must be a number"},
		{"POLLER_ZIM_RATE=NaN", "POLLER_ZIM_RATE", "must be a number"},
		{"POLLER_ZIM_BATCH_SIZE=", "POLLER_ZIM_BATCH_SIZE", "whole number"},
		{"POLLER_ZIM_BATCH_SIZE=101", "POLLER_ZIM_BATCH_SIZE", "from 1 to 100"},
		{"POLLER_ZIM_APP_ID=", "POLLER_ZIM_APP_ID", "whole number from 1"},
		{"POLLER_ZIM_APP_ID=-1", "POLLER_ZIM_APP_ID", "whole number from 1"},
		{"POLLER_ZIM_SERVER_SECRET=", "POLLER_ZIM_SERVER_SECRET", "missing secret"},
		{"POLLER_LEASE_TTL=", "POLLER_LEASE_TTL", "must be a duration"},
		{"POLLER_SCHEDULE=", "POLLER_SCHEDULE", "cron"},
		{"POLLER_SCHEDULE=never", "POLLER_SCHEDULE", "no schedule"},
		{"POLLER_DATA_DIR=", "POLLER_DATA_DIR", "directory"},
		{"POLLER_LOG_LEVEL=", "POLLER_LOG_LEVEL", "one of"},
		{"POLLER_NATS_TLS_HANDSHAKE_FIRST=1", "POLLER_NATS_TLS_HANDSHAKE_FIRST", "true or false"},
		{"POLLER_NATS_TLS_CERT=/c", "POLLER_NATS_TLS_CERT", "nats.tls.key"},
		{"POLLER_DATABASE_URL_FILE=/nowhere/d", "POLLER_DATABASE_URL_FILE", "no such file"},
		{"POLLER_RETENTION_TRANSITIONS=10d", "POLLER_RETENTION_TRANSITIONS", "shorter than"},
		{"POLLER_RETENTION_EVERY_SWEEP=100d", "POLLER_RETENTION_EVERY_SWEEP", "longer than"},
		{"POLLER_RETENTION_HOURLY=500d", "POLLER_RETENTION_HOURLY", "longer than"},
		{"POLLER_STALE_AFTER=", "POLLER_STALE_AFTER", "must be a duration"},
		{"POLLER_STALE_AFTER=300", "POLLER_STALE_AFTER", "must be a duration"},
		{"POLLER_HOLD_OFFLINE=2h", "POLLER_HOLD_OFFLINE", "from 0s to 1h"},
		{"POLLER_PLAUSIBILITY_MAX_OFFLINE_SHARE=30%", "POLLER_PLAUSIBILITY_MAX_OFFLINE_SHARE", "must be a number"},
		{"POLLER_PLAUSIBILITY_MAX_OFFLINE_SHARE=1", "POLLER_PLAUSIBILITY_MAX_OFFLINE_SHARE", "under 1"},
		{"POLLER_ZIM_APPID=5", "POLLER_ZIM_APPID", "did you mean POLLER_ZIM_APP_ID?"},
		{"POLLER_NATS_ULR=5", "POLLER_NATS_ULR", "did you mean POLLER_NATS_URL?"},
		{"POLLER_CONIFG=5", "POLLER_CONIFG", "did you mean POLLER_CONFIG?"},
		{"POLLER_APPS=1", "POLLER_APPS", "listed in the file"},
	} {
		_, fs := readText(t, minimal, test.environ)
		if len(fs) != 1 || fs[0].Env != test.want || !strings.Contains(fs[0].Message, test.says) {
			t.Errorf("%s: faults %v, want one of %s, %q", test.environ, fs, test.want, test.says)
		}
	}
}

func TestOtherPeoplesVariables(t *testing.T) {
	_, fs := readText(t, minimal, "POLLER_PORT=tcp://10.0.0.1:8080", "POLLER_PORT_8080_TCP=tcp://10.0.0.1:8080",
		"POLLER_PORT_8080_TCP_ADDR=10.0.0.1", "POLLER_SERVICE_HOST=10.0.0.1", "POLLER_SERVICE_PORT_HTTP=8080",
		"POLLER_NATS_PORT=tcp://x", "POLLER_VERSION=1", "POLLERS=2", "PATH=/bin")
	if fs != nil {
		t.Errorf("variables of others are faults: %v", fs)
	}
}

func TestWithoutAnApp(t *testing.T) {
	_, fs := readText(t, "")
	if got, want := where(fs), []string{"- zim.app_id", "- zim.server_secret"}; !cmp.Equal(got, want) {
		t.Errorf("faults at %q, want %q", got, want)
	}
	cfg, fs := readWith(t, needDatabase, "", "POLLER_DATABASE_URL=postgres://h/d")
	if fs != nil || cfg.Database.URL != "postgres://h/d" || len(cfg.Apps) != 0 {
		t.Errorf("a command that needs no app: faults %v, %+v", fs, cfg)
	}
	cfg, fs = readWith(t, needDatabase|needApps, "", "POLLER_ZIM_APP_ID=7", "POLLER_ZIM_SERVER_SECRET_FILE=/nowhere")
	if fs != nil || len(cfg.Apps) != 1 {
		t.Errorf("a command that needs no secret: faults %v, %+v", fs, cfg)
	}
}

func TestDefaultDataDir(t *testing.T) {
	for _, test := range []struct {
		environ []string
		want    string
	}{
		{[]string{"XDG_DATA_HOME=/x", "HOME=/h"}, "/x/poller"},
		{[]string{"XDG_DATA_HOME=x", "HOME=/h"}, "/h/.local/share/poller"},
		{[]string{"HOME=/h"}, "/h/.local/share/poller"},
		{nil, "data"},
	} {
		cfg, fs := readText(t, minimal, test.environ...)
		if cfg.DataDir != test.want {
			t.Errorf("%q: data_dir %q, want %q (%v)", test.environ, cfg.DataDir, test.want, fs)
		}
	}
}

func TestNearest(t *testing.T) {
	words := []string{"rate", "timeout", "ca", "url", "url_file"}
	for word, want := range map[string]string{
		"rate": "rate", "rtae": "rate", "rat": "rate", "rates": "rate", "ratios": "", "timout": "timeout",
		"urlfile": "url_file", "": "", "zz": "", "colour": "",
	} {
		if got := nearest(word, words); got != want {
			t.Errorf("nearest to %q is %q, want %q", word, got, want)
		}
	}
}
