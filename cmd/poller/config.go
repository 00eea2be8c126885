package main

import (
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// config is what the operator decides: the built-in defaults, overlaid by the file, overlaid by the environment.
// The yaml tags are the keys of the file, and joined with dots (in upper case with underscores, behind POLLER_) the
// names of the environment variables. configs/poller.yaml explains every key. A new field needs its tag, a default in
// defaultConfig, a rule in checkValue, and its paragraph in configs/poller.yaml; tests refuse a field without one.
//
// config stays in this package: rooms are handed values.
type config struct {
	Database     databaseConfig     `yaml:"database"`
	NATS         natsConfig         `yaml:"nats"`
	DataDir      string             `yaml:"data_dir"` // where the embedded Postgres and NATS keep their files; never empty
	ZIM          zimConfig          `yaml:"zim"`
	Schedule     string             `yaml:"schedule"`    // cron or @every; checked, never empty
	StaleAfter   time.Duration      `yaml:"stale_after"` // 0: off
	Hold         holdConfig         `yaml:"hold"`
	Plausibility plausibilityConfig `yaml:"plausibility"`
	Apps         []appConfig        `yaml:"apps"` // after loading: every app, complete, also the one given under zim
	Watchlist    watchlistConfig    `yaml:"watchlist"`
	Lease        leaseConfig        `yaml:"lease"`
	Stream       streamConfig       `yaml:"stream"`
	Retention    retentionConfig    `yaml:"retention"`
	HTTP         httpConfig         `yaml:"http"`
	Callback     callbackConfig     `yaml:"callback"`
	Log          logConfig          `yaml:"log"`

	// origins says for each key that was given where it was given; a key without one has its default.
	origins map[string]origin
}

// databaseConfig names the Postgres.
type databaseConfig struct {
	URL     address `yaml:"url"` // Postgres DSN; empty: the embedded Postgres
	URLFile string  `yaml:"url_file"`
}

// natsConfig names the NATS servers.
type natsConfig struct {
	URL      address   `yaml:"url"` // servers, comma-separated; empty: the embedded NATS
	URLFile  string    `yaml:"url_file"`
	Creds    string    `yaml:"creds"` // path of a .creds file; empty: none
	TLS      tlsConfig `yaml:"tls"`
	Replicas int       `yaml:"replicas"` // of newly made streams, 1 to 5
	Listen   string    `yaml:"listen"`   // host:port of the embedded NATS
}

// tlsConfig holds paths of PEM files; empty means not given. Cert and Key come together or not at all.
type tlsConfig struct {
	CA             string `yaml:"ca"`
	Cert           string `yaml:"cert"`
	Key            string `yaml:"key"`
	HandshakeFirst bool   `yaml:"handshake_first"`
}

// zimConfig is the one app, or without an app id what the entries of apps inherit.
type zimConfig struct {
	AppID            uint32 `yaml:"app_id"` // 0: no app given here
	ServerSecret     secret `yaml:"server_secret"`
	ServerSecretFile string `yaml:"server_secret_file"`
	// CallbackSecret signs ZIM's callbacks; empty: none are taken.
	CallbackSecret     secret `yaml:"callback_secret"`
	CallbackSecretFile string `yaml:"callback_secret_file"`

	BaseURL   string        `yaml:"base_url"`
	Rate      float64       `yaml:"rate"` // requests a second, over 0
	BatchSize int           `yaml:"batch_size"`
	Timeout   time.Duration `yaml:"timeout"` // of one attempt
}

// appConfig is one ZIM app. After loading, ServerSecret and CallbackSecret are filled from whichever form was given, and
// fields that were left out hold what zim and schedule say.
type appConfig struct {
	AppID            uint32 `yaml:"app_id"`
	ServerSecret     secret `yaml:"server_secret"`
	ServerSecretFile string `yaml:"server_secret_file"`
	ServerSecretEnv  string `yaml:"server_secret_env"`
	// CallbackSecret signs ZIM's callbacks; empty: none are taken.
	CallbackSecret     secret `yaml:"callback_secret"`
	CallbackSecretFile string `yaml:"callback_secret_file"`
	CallbackSecretEnv  string `yaml:"callback_secret_env"`

	Schedule  string        `yaml:"schedule"`
	BaseURL   string        `yaml:"base_url"`
	Rate      float64       `yaml:"rate"`
	BatchSize int           `yaml:"batch_size"`
	Timeout   time.Duration `yaml:"timeout"`
}

// holdConfig says for how long a change must last before it is told, by the status that it leads to; 0: told at once.
type holdConfig struct {
	Offline time.Duration `yaml:"offline"`
	Online  time.Duration `yaml:"online"`
}

// plausibilityConfig says how many may go offline at once before ZIM is asked again, and for how long.
type plausibilityConfig struct {
	MaxOfflineShare float64       `yaml:"max_offline_share"` // of those told online, below 1; 0: off
	Patience        time.Duration `yaml:"patience"`
}

// watchlistConfig says how the watchlist is read.
type watchlistConfig struct {
	AllowSuddenDrop bool `yaml:"allow_sudden_drop"` // remove users at once also when half of a large list or more is gone
}

// leaseConfig bounds how long an app stays with a holder that no longer answers.
type leaseConfig struct {
	TTL time.Duration `yaml:"ttl"`
}

// streamConfig shapes the event streams.
type streamConfig struct {
	MaxAge time.Duration `yaml:"max_age"`
}

// retentionConfig says how long the database keeps the past. Snapshots become fewer with their age: each sweep's, then
// one an hour, then one a day.
type retentionConfig struct {
	Transitions time.Duration `yaml:"transitions"`
	EverySweep  time.Duration `yaml:"every_sweep"`
	Hourly      time.Duration `yaml:"hourly"`
	Snapshots   time.Duration `yaml:"snapshots"`
}

// httpConfig is the status page, metrics and probes.
type httpConfig struct {
	Listen      string `yaml:"listen"` // host:port; empty: none
	Hosts       names  `yaml:"hosts"`  // by which the status page may be opened, beside addresses and localhost
	HideUserIDs bool   `yaml:"hide_user_ids"`
}

// names is a list of words: a list in the file, divided by commas in the environment. Nil: none.
type names []string

// callbackConfig is where ZIM's callbacks of logins and logouts are taken.
type callbackConfig struct {
	Listen string `yaml:"listen"` // host:port; empty: nowhere
}

// logConfig is for zerolog.
type logConfig struct {
	Level  string `yaml:"level"`
	Format string `yaml:"format"` // json or console
}

const day = 24 * time.Hour

// defaultConfig is the configuration of somebody who said nothing; lookup reads the environment, for data_dir.
func defaultConfig(lookup func(string) string) config {
	return config{
		NATS:         natsConfig{Replicas: 1, Listen: "127.0.0.1:4222"},
		DataDir:      defaultDataDir(lookup),
		ZIM:          zimConfig{BaseURL: "https://zim-api.zego.im", Rate: 20, BatchSize: 100, Timeout: 5 * time.Second},
		Schedule:     "@every 1m",
		Plausibility: plausibilityConfig{Patience: 30 * time.Second},
		Lease:        leaseConfig{TTL: 10 * time.Second},
		Stream:       streamConfig{MaxAge: 30 * day},
		Retention:    retentionConfig{Transitions: 90 * day, EverySweep: 7 * day, Hourly: 90 * day, Snapshots: 400 * day},
		HTTP:         httpConfig{Listen: "127.0.0.1:8080"},
		Log:          logConfig{Level: "info", Format: "json"},
		origins:      map[string]origin{},
	}
}

// defaultDataDir follows the XDG base directories, by which a relative XDG_DATA_HOME counts as not set. Without a home
// it is ./data.
func defaultDataDir(lookup func(string) string) string {
	if dir := lookup("XDG_DATA_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "poller")
	}
	if home := lookup("HOME"); filepath.IsAbs(home) {
		return filepath.Join(home, ".local", "share", "poller")
	}
	return "data"
}

// app returns the app that a command about one app is for: the one with the id, or with id 0 the only one there is.
// It answers with a usageError when that is nobody or not clear.
func (c config) app(id uint32) (appConfig, error) {
	if id == 0 && len(c.Apps) == 1 {
		return c.Apps[0], nil
	}
	i := slices.IndexFunc(c.Apps, func(a appConfig) bool { return a.AppID == id })
	switch {
	case len(c.Apps) == 0:
		return appConfig{}, usagef("no app is configured: %s", howToGiveAnApp)
	case id == 0:
		return appConfig{}, usagef("several apps are configured: choose one with --app (%s)", c.appIDs())
	case i < 0:
		return appConfig{}, usagef("app %d is not configured (configured: %s)", id, c.appIDs())
	}
	return c.Apps[i], nil
}

func (c config) appIDs() string {
	var ids []string
	for _, a := range c.Apps {
		ids = append(ids, strconv.FormatUint(uint64(a.AppID), 10))
	}
	return strings.Join(ids, ", ")
}

// origin is where a key was given.
type origin struct {
	Env    string // the variable, when the environment gave it
	File   string // the configuration file, when that gave it
	Line   int    // from 1
	Column int    // from 1, in characters
	From   string // the key it was inherited from
}

// String names the place in a few words.
func (o origin) String() string {
	switch {
	case o.Env != "":
		return "env " + o.Env
	case o.File != "":
		return fmt.Sprintf("file, line %d", o.Line)
	case o.From != "":
		return "from " + o.From
	}
	return "default"
}
