package main

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// A list of names is a list in the file, and divided by commas in the environment, which replaces it.
func TestHostsAreAList(t *testing.T) {
	const app = "POLLER_ZIM_APP_ID=1"
	for _, c := range []struct {
		text, env string
		want      names
	}{
		{text: "", want: nil},
		{text: "http:\n  hosts: []\n", want: nil},
		{text: "http:\n  hosts: [a.example, b]\n", want: names{"a.example", "b"}},
		{text: "http:\n  hosts:\n    - \"a.example.\"\n    - X_y-1.example\n", want: names{"a.example.", "X_y-1.example"}},
		{env: "POLLER_HTTP_HOSTS=a.example, b,", want: names{"a.example", "b"}},
		{text: "http:\n  hosts: [a]\n", env: "POLLER_HTTP_HOSTS=b", want: names{"b"}},
		{text: "http:\n  hosts: [a]\n", env: "POLLER_HTTP_HOSTS=", want: nil},
	} {
		environ := []string{app, "POLLER_ZIM_SERVER_SECRET=s"}
		if c.env != "" {
			environ = append(environ, c.env)
		}
		cfg, fs := readText(t, c.text, environ...)
		if fs != nil || !cmp.Equal(cfg.HTTP.Hosts, c.want) {
			t.Errorf("%q and %q: %v, %v, want %v", c.text, c.env, cfg.HTTP.Hosts, fs, c.want)
		}
	}
}

func TestHostsThatAreNone(t *testing.T) {
	for text, at := range map[string]string{
		"http:\n  hosts: a.example\n":                          "2:10 http.hosts",
		"http:\n  hosts: [a.example, \"b:8080\"]\n":            "2:22 http.hosts",
		"http:\n  hosts: [\"http://a.example\"]\n":             "2:11 http.hosts",
		"http:\n  hosts: [\"*.example\"]\n":                    "2:11 http.hosts",
		"http:\n  hosts: [\"\"]\n":                             "2:11 http.hosts",
		"http:\n  hosts: [\"[::1]\"]\n":                        "2:11 http.hosts",
		"http:\n  hosts: [a..b]\n":                             "2:11 http.hosts",
		"http:\n  hosts: [7]\n":                                "2:11 http.hosts",
		"http:\n  hosts: [{a: b}]\n":                           "2:11 http.hosts",
		"http:\n  hosts:\n    a: b\n":                          "3:5 http.hosts",
		"http:\n  hosts: [" + strings.Repeat("a", 254) + "]\n": "2:11 http.hosts",
	} {
		_, fs := readText(t, text, "POLLER_ZIM_SERVER_SECRET=s", "POLLER_ZIM_APP_ID=1")
		if got := where(fs); !slices.Equal(got, []string{at}) {
			t.Errorf("%.60q: faults at %q, want %q: %v", text, got, at, fs)
		}
	}
	_, fs := readText(t, "", "POLLER_ZIM_SERVER_SECRET=s", "POLLER_ZIM_APP_ID=1", "POLLER_HTTP_HOSTS=good,bad/")
	if len(fs) != 1 || !strings.Contains(fs.Error(), "POLLER_HTTP_HOSTS") {
		t.Errorf("of the environment: %v", fs)
	}
}

// poller check shows the list as a list.
func TestHostsAreShown(t *testing.T) {
	cfg, _ := readText(t, "http:\n  hosts: [a.example, b]\n", "POLLER_ZIM_SERVER_SECRET=s", "POLLER_ZIM_APP_ID=1")
	for _, v := range leaves(&cfg) {
		if v.key != "http.hosts" {
			continue
		}
		if text, err := json.Marshal(v.value()); err != nil || string(text) != `["a.example","b"]` || v.show() != "a.example, b" {
			t.Errorf("shown as %s and %q, %v", text, v.show(), err)
		}
		return
	}
	t.Error("it is not shown at all")
}
