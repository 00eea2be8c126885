package main

import (
	"flag"
	"fmt"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// The page is written by: go test ./cmd/poller -run TestConfigurationPage -update
var updatePage = flag.Bool("update", false, "write docs/configuration.md anew, from the code and configs/poller.yaml")

const configurationPage = "../../docs/configuration.md"

// documentedKey is what there is to say of a key.
type documentedKey struct {
	key, kind, standard, takes string
	variable                   string // "" for none
	secret, live               bool
}

// documentedKeys are all keys, in the order of the fields; those of an entry of apps as apps[].rate.
func documentedKeys() (all []documentedKey) {
	cfg := defaultConfig(func(string) string { return "" })
	cfg.Apps = make([]appConfig, 1)
	l := &loading{cfg: &cfg, configReader: configReader{parseSchedule: checkSchedule}}
	for _, v := range leaves(&cfg) {
		d := documentedKey{key: strings.Replace(v.key, "apps[0]", "apps[]", 1), kind: kindOfKey(v), takes: takes(l, v), live: live(v.key)}
		switch v.ptr.(type) {
		case *secret, *address:
			d.secret = true
		}
		if !strings.Contains(d.key, "[]") {
			d.variable = envName(v.key)
		}
		d.standard = standard(d.key, v)
		all = append(all, d)
	}
	return all
}

func kindOfKey(v leaf) string {
	switch v.ptr.(type) {
	case *bool:
		return "true or false"
	case *int, *uint32:
		return "whole number"
	case *float64:
		return "number"
	case *time.Duration:
		return "duration"
	case *string, *secret, *address:
		return "text"
	}
	return "list"
}

// standard is the default, as somebody would write it.
func standard(key string, v leaf) string {
	name, ofApp := strings.CutPrefix(key, "apps[].")
	switch {
	case key == "data_dir":
		return "below the home directory"
	case ofApp && name == "schedule":
		return "that of `schedule`"
	case ofApp && slices.Contains([]string{"base_url", "rate", "batch_size", "timeout"}, name):
		return "that of `zim." + name + "`"
	case strings.HasSuffix(key, "app_id"), strings.HasSuffix(key, "server_secret"):
		return "none: required"
	case v.show() == "":
		return "empty"
	}
	return "`" + v.show() + "`"
}

// takes is what a value may be, in the words in which others are refused.
func takes(l *loading, v leaf) string {
	if regexp.MustCompile(`(_file|creds|tls\.(ca|cert|key)|data_dir)$`).MatchString(v.key) {
		return "a path"
	}
	switch v.key {
	case "database.url":
		return "a Postgres URL or key=value string"
	case "nats.url":
		return "servers, comma-separated: nats://, tls://, ws:// or wss://, and a host"
	}
	bad := reflect.New(reflect.TypeOf(v.ptr).Elem())
	switch bad.Elem().Kind() {
	case reflect.Bool:
		return "true or false"
	case reflect.Int, reflect.Int64:
		bad.Elem().SetInt(-1)
	case reflect.Float64:
		bad.Elem().SetFloat(-1)
	case reflect.String:
		bad.Elem().SetString("no \n")
	case reflect.Slice:
		bad.Elem().Set(reflect.ValueOf([]string{"no \n"}).Convert(bad.Elem().Type()))
	}
	if settingOf(v.key) == "schedule" {
		bad.Elem().SetString("")
	}
	err := l.checkValue(leaf{v.key, bad.Interface()})
	if err == nil {
		return "any"
	}
	return strings.NewReplacer("must be ", "", "must not contain", "no", "<", `\<`, "is not a ", "a ").Replace(err.Error())
}

// paragraphs are the comments of the manual, by key; a section's stand under its name.
func paragraphs(t *testing.T) map[string]string {
	t.Helper()
	of, above := map[string]string{}, []string{}
	entry := regexp.MustCompile(`^( *)#?([a-z_]+):`)
	var comment []string
	for _, line := range strings.Split(readManual(t), "\n") {
		bare := strings.TrimSpace(line)
		m := entry.FindStringSubmatch(line)
		switch {
		case strings.HasPrefix(bare, "# "):
			comment = append(comment, strings.TrimPrefix(bare, "# "))
		case m != nil:
			above = append(above[:min(len(m[1])/2, len(above))], m[2])
			of[strings.Join(above, ".")] = strings.Join(comment, "\n")
			if strings.HasSuffix(bare, ":") && !strings.HasPrefix(bare, "#") {
				comment = nil
			}
		default:
			comment = nil
		}
	}
	return of
}

// inMarkdown is a paragraph of the manual as the page has it.
func inMarkdown(text string) string {
	text = strings.NewReplacer("<", `\<`, "*", `\*`).Replace(text)
	text = regexp.MustCompile(`docs/(\w+)\.md`).ReplaceAllString(text, "[$1]($1.md)")
	return text
}

// section writes about the keys that a marker names. What was said already, of a whole section of the file or of the key
// before, is not said again.
func section(t *testing.T, all []documentedKey, of, said map[string]string, names []string) string {
	var b strings.Builder
	before := ""
	for _, name := range names {
		i := slices.IndexFunc(all, func(d documentedKey) bool { return d.key == name })
		if i < 0 {
			t.Errorf("docs/configuration.md has a marker for %s, which there is not", name)
			continue
		}
		d := all[i]
		whole, setting, inSection := strings.Cut(name, ".")
		whole, ofApp := strings.CutSuffix(whole, "[]")
		if intro := of[whole]; inSection && intro != "" && said[whole] == "" {
			fmt.Fprintf(&b, "\n**%s**\n\n%s\n", whole, inMarkdown(intro))
			said[whole] = intro
		}
		fmt.Fprintf(&b, "\n### %s\n\n", name)
		facts := []string{d.kind, "default: " + d.standard, "takes: " + d.takes}
		if d.variable != "" {
			facts = append([]string{"`" + d.variable + "`"}, facts...)
		}
		if d.secret {
			facts = append(facts, "shown masked")
		}
		facts = append(facts, effect(d))
		b.WriteString(strings.Join(facts, " · ") + "\n")
		text := of[name]
		switch {
		case ofApp && settingOf("apps[0]."+setting) == "schedule":
			text = "What [schedule](#schedule) is to all apps."
		case ofApp && of["zim."+setting] != "":
			text = fmt.Sprintf("What [zim.%s](#zim%s) is to the only app.", setting, setting)
		case ofApp:
			text = "The name of an environment variable that holds the secret."
		case text == "":
			t.Errorf("configs/poller.yaml says nothing of %s", name)
		case text == before:
			continue
		default:
			before, text = text, inMarkdown(text)
		}
		b.WriteString("\n" + text + "\n")
	}
	return b.String() + "\n"
}

func effect(d documentedKey) string {
	if d.live {
		return "**live**"
	}
	return "**restart**"
}

// defaultsTable is every key on one line.
func defaultsTable(all []documentedKey) string {
	var b strings.Builder
	b.WriteString("\n| key | default | takes | change | |\n|---|---|---|---|---|\n")
	for _, d := range all {
		how, note := "live", ""
		if !d.live {
			how = "restart"
		}
		if d.secret {
			note = "masked"
		}
		anchor := regexp.MustCompile(`[^a-z0-9_-]`).ReplaceAllString(d.key, "")
		fmt.Fprintf(&b, "| [`%s`](#%s) | %s | %s | %s | %s |\n", d.key, anchor, d.standard, strings.ReplaceAll(d.takes, "|", `\|`), how, note)
	}
	return b.String() + "\n"
}

// TestConfigurationPage holds docs/configuration.md against the code and the manual: what stands between its markers is
// generated, and each key stands in one place.
func TestConfigurationPage(t *testing.T) {
	text, err := os.ReadFile(configurationPage)
	if err != nil {
		t.Fatal(err)
	}
	all, of, said, named := documentedKeys(), paragraphs(t), map[string]string{}, map[string]int{}
	marker := regexp.MustCompile(`(?s)<!-- (keys|table)([^>]*) -->\n.*?<!-- end -->`)
	want := marker.ReplaceAllStringFunc(string(text), func(found string) string {
		m := marker.FindStringSubmatch(found)
		names := strings.Fields(m[2])
		for _, name := range names {
			named[name]++
		}
		body := defaultsTable(all)
		if m[1] == "keys" {
			body = section(t, all, of, said, names)
		}
		return "<!-- " + m[1] + m[2] + " -->\n" + body + "<!-- end -->"
	})
	for _, d := range all {
		if named[d.key] != 1 {
			t.Errorf("%s stands in %d places of docs/configuration.md, want 1", d.key, named[d.key])
		}
	}
	if want == string(text) {
		return
	}
	if *updatePage {
		if err := os.WriteFile(configurationPage, []byte(want), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	t.Error("docs/configuration.md is not as the code and configs/poller.yaml say: go test ./cmd/poller -run TestConfigurationPage -update")
}
