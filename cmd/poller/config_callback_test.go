package main

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The secret by which callbacks are signed is given in the forms of the server's.
func TestCallbackSecret(t *testing.T) {
	file := writeFile(t, "callback", "fromfile\n")
	cfg, fs := readText(t, `
apps:
  - {app_id: 1, server_secret: s, callback_secret: direct}
  - {app_id: 2, server_secret: s, callback_secret_file: `+file+`}
  - {app_id: 3, server_secret: s, callback_secret_env: CALLBACK_3}
  - {app_id: 4, server_secret: s}
callback: {listen: ":8087"}
`, "CALLBACK_3=fromenv")
	if fs != nil {
		t.Fatal(fs)
	}
	var got []string
	for _, a := range cfg.Apps {
		got = append(got, string(a.CallbackSecret))
	}
	if want := []string{"direct", "fromfile", "fromenv", ""}; !cmp.Equal(got, want) {
		t.Errorf("callback secrets %q, want %q", got, want)
	}
	cfg, fs = readText(t, "", "POLLER_ZIM_APP_ID=7", "POLLER_ZIM_SERVER_SECRET=s", "POLLER_ZIM_CALLBACK_SECRET_FILE="+file, "POLLER_CALLBACK_LISTEN=:8087")
	if fs != nil || string(cfg.Apps[0].CallbackSecret) != "fromfile" || cfg.Callback.Listen != ":8087" {
		t.Errorf("from the environment: %q at %q, %v", string(cfg.Apps[0].CallbackSecret), cfg.Callback.Listen, fs)
	}
}

// Without a secret nobody listens; nor where somebody else does.
func TestCallbackFaults(t *testing.T) {
	const app = "zim: {app_id: 7, server_secret: s, callback_secret: c}\n"
	for text, want := range map[string]string{
		"zim: {app_id: 7, server_secret: s}\ncallback: {listen: ':8087'}\n":                                  "no app has a callback secret",
		app + "callback: {listen: ':8080'}\nhttp: {listen: ':8080'}\n":                                       "the same address as http.listen",
		app + "callback: {listen: '127.0.0.1:4222'}\n":                                                       "the same address as nats.listen",
		app + "callback: {listen: 'here'}\n":                                                                 "must be host:port",
		"zim: {callback_secret: c}\napps: [{app_id: 7, server_secret: s}]\n":                                 "given beside apps",
		"zim: {app_id: 7, server_secret: s, callback_secret: 'c c'}\n":                                       "white space",
		"apps: [{app_id: 7, server_secret: s, callback_secret: c, callback_secret_env: C}]\n":                "given beside another form",
		"zim: {app_id: 7, server_secret: s, callback_secret: c, callback_secret_file: f}\n":                  "only one of them can count",
		"zim: {app_id: 7, server_secret: s, callback_secret_file: /nowhere}\ncallback: {listen: ':8087'}\n":  "cannot be read",
		"apps: [{app_id: 7, server_secret: s, callback_secret_env: NOT_SET}]\ncallback: {listen: ':8087'}\n": "is not set",
	} {
		if _, fs := readText(t, text); len(fs) != 1 || !strings.Contains(fs[0].Message, want) {
			t.Errorf("%q: faults %v, want one with %q", text, fs, want)
		}
	}
}
