package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
)

func TestSecretsAreNotPrinted(t *testing.T) {
	cfg, fs := readText(t, "zim: {app_id: 7}\n", "POLLER_ZIM_SERVER_SECRET=hunter2hunter2", "POLLER_ZIM_CALLBACK_SECRET=hunter6hunter6",
		"POLLER_DATABASE_URL=postgres://u:hunter3hunter3@h/d", "POLLER_NATS_URL=nats://u:hunter4hunter4@a,nats://hunter5hunter5@b")
	if fs != nil {
		t.Fatal(fs)
	}
	asJSON, err := json.Marshal(cfg)
	if err != nil {
		t.Fatal(err)
	}
	asYAML, err := yaml.Marshal(cfg.ZIM)
	if err != nil {
		t.Fatal(err)
	}
	texts := []string{string(asJSON), string(asYAML), fmt.Sprint(&cfg), cfg.ZIM.ServerSecret.String(), cfg.Database.URL.GoString()}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d"} {
		texts = append(texts, fmt.Sprintf(verb, cfg), fmt.Sprintf(verb, cfg.ZIM.ServerSecret), fmt.Sprintf(verb, cfg.NATS.URL))
	}
	for _, text := range texts {
		refuseWords(t, text, "hunter", fmt.Sprintf("%x", "hunter"), fmt.Sprintf("%X", "hunter"))
	}
	if got := fmt.Sprint(cfg.ZIM.ServerSecret); got != mask {
		t.Errorf("a secret shows as %q, want %q", got, mask)
	}
	if got := fmt.Sprint(secret("")); got != "" {
		t.Errorf("an empty secret shows as %q, want nothing", got)
	}
}

func TestAddressShowsAllButPasswords(t *testing.T) {
	for in, want := range map[string]string{
		"":                                      "",
		"postgres://h/d":                        "postgres://h/d",
		"postgres://u@h:5/d":                    "postgres://u@h:5/d",
		"postgres://u:p@h:5/d?sslmode=require":  "postgres://u:********@h:5/d?sslmode=require",
		"postgresql://u:p/a@s?s#@h/d":           "postgresql://u:********@h/d",
		"postgres://h/d?user=u&password=p&x=y":  "postgres://h/d?user=u&password=********&x=y",
		"postgres://h/d?sslpassword=p":          "postgres://h/d?sslpassword=********",
		"postgres://u:p,q@a:1,b:2/d":            "postgres://u:********@a:1,b:2/d",
		"host=h password=p user=u":              "host=h password=******** user=u",
		`host=h password = 'p \' q' user=u`:     "host=h password = ******** user=u",
		"host=h user=a@b password=p@q dbname=d": "host=h user=a@b password=******** dbname=d",
		"nats://a:4222":                         "nats://a:4222",
		"nats://token@a:4222":                   "nats://********@a:4222",
		"nats://u:p@a,tls://t@b, wss://u:p@c":   "nats://u:********@a,tls://********@b, wss://u:********@c",
		"u:p@a":                                 "u:********@a",
		"localhost":                             "localhost",
	} {
		if got := address(in).String(); got != want {
			t.Errorf("%s shows as %s, want %s", in, got, want)
		}
	}
}

// TestFaultsHoldNoSecret has mistakes right beside secrets, in every place where one may stand.
func TestFaultsHoldNoSecret(t *testing.T) {
	const s = "hunter2hunter2"
	for _, text := range []string{
		"zim:\n  server_secert: " + s + "\n",
		"zim:\n  server_secret: [" + s + "]\n",
		"zim:\n  server_secret:" + s + "\n",
		"zim:\n  app_id: 7\n  server_secret:" + s + "\n  rate: 5\n",
		"zim: {rate: 0, server_secret: " + s + "}\n",
		"zim: {server_secret: " + s + ", rate: 0}\n",
		"zim: {rate: x, server_secret:" + s + "}\n",
		"zim: {rate: x, server_secret " + s + "}\n",
		`{"zim":{"rate":0,"server_secret":"` + s + `"}}`,
		`{'zim':{'server_secret':'` + s + `','rate':0}}`,
		"zim:\n  server_secret: \"" + s + "\n",
		"zim:\n  server_secret: '" + s + "\n  rate: 0\n",
		"zim:\n  server_secret: |\n    " + s + "\n   x: 5\n",
		"zim:\n  ? server_secret\n  : [" + s + "]\n",
		"zim:\n  server_secret: &" + s + " x\n",
		"zim:\n  server_secret: *" + s + "\n",
		"zim:\n  server_secret: !" + s + " x\n",
		"zim:\n  server_secret: '" + s + " " + s + "'\n",
		"zim:\n  server_secret: " + s + "\n  server_secret: " + s + "\n",
		"zim:\n  rate: 0 # server_secret: " + s + "\n",
		"zim:\n  - " + s + "\n",
		"zim: " + s + "\n",
		s + "\n",
		"- " + s + "\n",
		"\t" + s + "\n",
		"? " + s + "\n",
		"apps:\n- " + s + "\n",
		"apps:\n- server_secret: " + s + "\n",
		"apps:\n- {app_id: 1, server_secret_env: " + s + "-x}\n",
		"database:\n  url: mysql://u:" + s + "@h/d\n",
		"database:\n  url: postgres://u:" + s + "/x@h/d\n",
		"database:\n  url: postgres://u:" + s + "%zz@h/d\n",
		"database:\n  url: 'host=h port=x password=" + s + "'\n",
		"database: postgres://u:" + s + "@h/d\n",
		"databse: postgres://u:" + s + "@h/d\n",
		"nats:\n  url: http://" + s + "@h\n",
		"nats:\n  url: 'nats://u:" + s + ":x@h'\n",
		"nats:\n  url: [nats://u:" + s + "@h]\n",
		"zim:\n  base_url: https://u:" + s + "@h\n",
		"zim:\n  rate: 0\n  server_secret: " + s + "\n  url: " + s + "\n",
	} {
		for _, text := range bothSecrets(text) {
			_, fs := readText(t, text)
			if fs == nil {
				t.Errorf("%q has no fault, want one to look at", text)
			}
			refuseWords(t, fs.Error(), "hunter")
		}
	}
}

// TestFaultsHoldNoSecretOfTheVendor has secrets as they really look below the wrong key.
func TestFaultsHoldNoSecretOfTheVendor(t *testing.T) {
	const s = "9193cc662a4c0ec135ec71fb57194b38"
	for _, text := range []string{
		"zim:\n  app_id: " + s + "\n", "log:\n  level: \"" + s + "\"\n", "schedule: {" + s + ": 5}\n", s + ": 5\n",
		"zim:\n  " + s + ": server_secret\n", "zim:\n  server_secret:" + s + ": 5\n",
		"apps:\n- {app_id: 1, server_secret_env: " + s + "}\n", "apps:\n- {app_id: 1, server_secret_env: d" + s[1:] + "}\n",
	} {
		for _, text := range bothSecrets(text) {
			_, fs := readText(t, text)
			if fs == nil {
				t.Errorf("%q has no fault, want one to look at", text)
			}
			refuseWords(t, fs.Error(), s, s[1:])
		}
	}
}

// bothSecrets is a text, and the same of the other secret that an app has.
func bothSecrets(text string) []string {
	return []string{text, strings.ReplaceAll(strings.ReplaceAll(text, "server_sec", "callback_sec"), "server_ser", "callback_ser")}
}

func TestVariablesAtFaultHoldNoSecret(t *testing.T) {
	const s = "hunter2hunter2"
	for _, environ := range []string{
		"POLLER_ZIM_SERVER_SECRET=" + s + " " + s, "POLLER_ZIM_SERVER_SECERT=" + s, "POLLER_DATABASE_URL=mysql://" + s,
		"POLLER_DATABASE_URL=postgres://u:" + s + "/@h", "POLLER_NATS_URL=http://" + s + "@h", "POLLER_APPS=" + s,
		"POLLER_ZIM_SERVER_SECRET_FILE=" + writeFile(t, "s", s+" "+s), "POLLER_DATABASE_URL_FILE=" + writeFile(t, "d", "mysql://"+s),
	} {
		_, fs := readText(t, "zim: {app_id: 7}\n", environ)
		if fs == nil {
			t.Errorf("%q is no fault, want one to look at", environ)
		}
		refuseWords(t, fs.Error(), "hunter")
	}
}

func TestExcerpt(t *testing.T) {
	for _, test := range []struct {
		line   string
		column int
		want   string
	}{
		{"rate: 0", 7, "rate: 0\n      ^"},
		{"  level: inof # loud", 10, "  level: inof # loud\n         ^"},
		{"schedule: \"@evry 5s\"", 11, "schedule: \"@evry 5s\"\n          ^"},
		{"\tlevel: x", 9, "\tlevel: x\n\t       ^"},
		{"zim: {rate: 0, app_id: 5}", 13, "zim: {rate: 0, app_id: 5}\n            ^"},
		{"server_secret: abc", 18, "server_secret: ********\n               ^"},
		{"{server_secret: abc, rate: 0}", 28, "{server_secret: ********, rate: 0}\n                                ^"},
		{"abc", 3, "********\n^"},
		{"apps: [", 7, "apps: [\n      ^"},
		{"rate: 0", 99, "rate: 0\n       ^"},
		{"rate: 0", 0, "rate: 0\n^"},
	} {
		got := newSource("", []byte("\n"+test.line+"\n")).excerpt(2, test.column)
		got = strings.ReplaceAll(strings.TrimPrefix(got, "   2 | "), "\n       ", "\n")
		if got != test.want {
			t.Errorf("%q at %d:\n%s\nwant\n%s", test.line, test.column, got, test.want)
		}
	}
	for _, line := range []int{-1, 0, 3} {
		if got := newSource("", []byte("a\nb")).excerpt(line, 1); got != "" {
			t.Errorf("line %d of two is %q, want nothing", line, got)
		}
	}
}
