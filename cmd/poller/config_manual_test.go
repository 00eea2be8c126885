package main

import (
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"
)

const manualPath = "../../configs/poller.yaml"

func readManual(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(manualPath)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestManualPassesCheck(t *testing.T) {
	code, stdout, stderr := runCheck(t, []string{"POLLER_ZIM_SERVER_SECRET=topsecret"}, "--config", manualPath)
	if code != 0 || stderr != "" {
		t.Fatalf("exit code %d, %s\n%s", code, stderr, stdout)
	}
}

// TestManualShowsDefaults holds that a person who copies the file as it is, but for the app, has changed nothing.
func TestManualShowsDefaults(t *testing.T) {
	shown, fs := readText(t, readManual(t), "POLLER_ZIM_SERVER_SECRET=s")
	plain, fs2 := readText(t, "", "POLLER_ZIM_SERVER_SECRET=s", "POLLER_ZIM_APP_ID=1234567890")
	if fs != nil || fs2 != nil {
		t.Fatal(fs, fs2)
	}
	shown.origins, plain.origins = nil, nil
	if !reflect.DeepEqual(shown, plain) {
		t.Errorf("the file says\n%+v\nand the defaults are\n%+v", shown, plain)
	}
}

// TestManualHasEveryField takes the # off the lines that are switched off, and expects every field to be there, below
// a comment that says its default.
func TestManualHasEveryField(t *testing.T) {
	text := regexp.MustCompile(`(?m)^(\s*)#(\S|  [- ] ?\S)`).ReplaceAllString(readManual(t), "$1$2")
	cfg := defaultConfig(func(string) string { return "" })
	l := &loading{cfg: &cfg, file: newSource("poller.yaml", []byte(text))}
	l.decodeFile()
	if l.faults != nil {
		t.Fatalf("with every key switched on: %v", l.faults)
	}
	given := map[string]bool{}
	for key := range cfg.origins {
		given[regexp.MustCompile(`\[\d+\]`).ReplaceAllString(key, "[]")] = true
	}
	for _, v := range leaves(&cfg) {
		if key := regexp.MustCompile(`\[\d+\]`).ReplaceAllString(v.key, "[]"); !given[key] {
			t.Errorf("%s is not in configs/poller.yaml", key)
		}
	}
}

func TestManualExplainsEveryParagraph(t *testing.T) {
	section := regexp.MustCompile(`^\s*[a-z_]+:$`)
	key := regexp.MustCompile(`^\s*#?[a-z_]+: `)
	lines := strings.Split(readManual(t), "\n")
	for i, line := range lines {
		if !key.MatchString(line) || section.MatchString(line) || strings.HasPrefix(line, "#  ") {
			continue
		}
		above := i - 1
		for above >= 0 && key.MatchString(lines[above]) {
			above--
		}
		var comment []string
		for ; above >= 0 && strings.HasPrefix(strings.TrimSpace(lines[above]), "# "); above-- {
			comment = append(comment, lines[above])
		}
		if !regexp.MustCompile(`(?i)default`).MatchString(strings.Join(comment, " ")) {
			t.Errorf("line %d, %q: the comment above says no default", i+1, line)
		}
	}
}

// TestEveryFieldHasARule gives every field something absurd; a field that takes anything must be meant to.
func TestEveryFieldHasARule(t *testing.T) {
	cfg := config{Apps: make([]appConfig, 1)}
	l := &loading{cfg: &cfg, configReader: configReader{parseSchedule: func(string) error { return os.ErrInvalid }}}
	takesAnyText := regexp.MustCompile(`(_file|_env|creds|tls\.(ca|cert|key)|data_dir)$`)
	for _, v := range leaves(&cfg) {
		absurd := "-7"
		switch v.ptr.(type) {
		case *string, *secret, *address:
			absurd = "http:// \n"
		}
		err := v.set(absurd)
		if err == nil {
			err = l.checkValue(v)
		}
		if err == nil && !takesAnyText.MatchString(v.key) {
			t.Errorf("%s takes %q", v.key, absurd)
		}
	}
}
