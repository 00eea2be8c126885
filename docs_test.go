package poller_test

import (
	"io/fs"
	"net/url"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
)

// page is one document: its text in fenced blocks by language, and the rest.
type page struct {
	file   string
	prose  string
	blocks []block
}

type block struct{ language, text string }

var (
	fence   = regexp.MustCompile("(?ms)^```(\\w*)\n(.*?)^```$")
	span    = regexp.MustCompile("`([^`\n]+)`")
	link    = regexp.MustCompile(`\[[^]]+\]\(([^)\s]+)\)`)
	heading = regexp.MustCompile(`(?m)^#+ (.*)$`)
)

// pages reads every document that people read.
func pages(t *testing.T) []page {
	t.Helper()
	files, err := filepath.Glob("docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	var all []page
	for _, file := range append(files, "README.md", "ARCHITECTURE.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md") {
		text := read(t, file)
		p := page{file: file, prose: fence.ReplaceAllString(text, "")}
		for _, m := range fence.FindAllStringSubmatch(text, -1) {
			p.blocks = append(p.blocks, block{m[1], m[2]})
		}
		if strings.Contains(p.prose, "\n```") {
			t.Errorf("%s: a fenced block is not closed", file)
		}
		all = append(all, p)
	}
	return all
}

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// spans are the words in code letters within the text.
func (p page) spans() (words []string) {
	for _, m := range span.FindAllStringSubmatch(p.prose, -1) {
		words = append(words, m[1])
	}
	return words
}

// shell are the lines that are shown to be typed.
func (p page) shell() (lines []string) {
	for _, b := range p.blocks {
		if b.language == "sh" {
			lines = append(lines, strings.Split(strings.TrimSpace(b.text), "\n")...)
		}
	}
	return lines
}

// goBuild builds with the race detector if this test has it, so that what is
// compiled already serves.
func goBuild(t *testing.T, out, what string) {
	t.Helper()
	args := []string{"build", "-o", out}
	if info, ok := debug.ReadBuildInfo(); ok && slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"}) {
		args = append(args, "-race")
	}
	if said, err := exec.CommandContext(t.Context(), "go", append(args, what)...).CombinedOutput(); err != nil {
		t.Fatalf("go build %s: %v\n%s", what, err, said)
	}
}

// Each command that is shown is one that the program takes, with these flags.
func TestDocsCommands(t *testing.T) {
	parse(t) // so that this test is run again when the program changes
	program := filepath.Join(t.TempDir(), "poller")
	goBuild(t, program, "./cmd/poller")
	shown := 0
	for _, p := range pages(t) {
		for _, line := range append(p.spans(), p.shell()...) {
			words := strings.Fields(strings.TrimPrefix(line, "bin/"))
			if len(words) == 0 || words[0] != "poller" {
				continue
			}
			shown++
			if said, err := help(t, program, words[1:]...); err != nil {
				t.Errorf("%s shows %q: %s", p.file, line, said)
			}
		}
	}
	if shown == 0 {
		t.Error("no command is shown")
	}
	said, err := help(t, program)
	if err != nil {
		t.Fatal(err)
	}
	_, commands, _ := strings.Cut(said, "Commands:")
	for _, m := range regexp.MustCompile(`(?m)^  ([\w-]+)`).FindAllStringSubmatch(commands, -1) {
		if !strings.Contains(read(t, "README.md"), "| `poller "+m[1]+"` |") {
			t.Errorf("README.md does not have the command %s in its table", m[1])
		}
	}
}

// help asks the program for help on a command, which it refuses for one that it
// does not take.
func help(t *testing.T, program string, args ...string) (string, error) {
	if i := slices.Index(args, "--"); i >= 0 {
		args = args[:i] // what follows is data
	}
	cmd := exec.CommandContext(t.Context(), program, append(args, "--help")...)
	cmd.Env = append(os.Environ(), "GORACE=atexit_sleep_ms=0") // else a second each
	said, err := cmd.CombinedOutput()
	return string(said), err
}

func TestDocsMakeTargets(t *testing.T) {
	makefile := read(t, "Makefile")
	for _, p := range pages(t) {
		for _, line := range append(p.spans(), p.shell()...) {
			if target, ok := strings.CutPrefix(line, "make "); ok && !strings.Contains(makefile, "\n"+target+":") {
				t.Errorf("%s shows %q, which is no target", p.file, line)
			}
		}
	}
}

// settings are the keys of the configuration's manual, from the first level on.
func settings(t *testing.T) (keys []string) {
	t.Helper()
	key := regexp.MustCompile(`^( *)#?(?:( *)- )?( *)([a-z_]+):`)
	var above []string
	for line := range strings.Lines(read(t, "configs/poller.yaml")) {
		m := key.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		depth := len(m[1]+m[3]) / 2
		if m[2] != "" || strings.Contains(m[0], "- ") {
			depth = 1 // the first key of an entry of a list
		}
		above = append(above[:min(depth, len(above))], m[4])
		keys = append(keys, strings.Join(above, "."))
	}
	return keys
}

func TestDocsSettings(t *testing.T) {
	keys := settings(t)
	variables := []string{"POLLER_CONFIG"}
	for _, k := range keys {
		variables = append(variables, "POLLER_"+strings.ToUpper(strings.ReplaceAll(k, ".", "_")))
	}
	dotted := regexp.MustCompile(`^([a-z_]+)\.[a-z_.]+(\.?\*)?(:.*)?$`)
	for _, p := range pages(t) {
		for _, name := range regexp.MustCompile(`POLLER_[A-Z_]+`).FindAllString(read(t, p.file), -1) {
			if !slices.Contains(variables, name) {
				t.Errorf("%s names the variable %s, which there is not", p.file, name)
			}
		}
		for _, word := range p.spans() {
			m := dotted.FindStringSubmatch(word)
			if m == nil || !slices.Contains(keys, m[1]) || strings.HasSuffix(word, ".go") {
				continue
			}
			name, _, _ := strings.Cut(word, ":")
			if !slices.ContainsFunc(keys, func(k string) bool {
				return k == name || strings.HasPrefix(k+".*", name) && strings.Contains(name, "*")
			}) {
				t.Errorf("%s names the setting %s, which there is not", p.file, word)
			}
		}
	}
}

// Every path in code letters and every link leads somewhere.
func TestDocsPaths(t *testing.T) {
	var names []string
	err := filepath.WalkDir(".", func(name string, entry fs.DirEntry, err error) error {
		if err == nil && entry.IsDir() {
			return enter(name)
		}
		names = append(names, filepath.Base(name))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	top := regexp.MustCompile(`^(cmd|internal|presence|migrations|configs|docs|scripts)(/[\w.-]+)+$`)
	file := regexp.MustCompile(`^[\w.-]+\.(go|md|yaml|sql)$`)
	for _, p := range pages(t) {
		for _, word := range p.spans() {
			if _, err := os.Stat(word); top.MatchString(word) && err != nil {
				t.Errorf("%s names %s: %v", p.file, word, err)
			}
			if file.MatchString(word) && !slices.Contains(names, word) {
				t.Errorf("%s names %s, which is nowhere", p.file, word)
			}
		}
		for _, m := range link.FindAllStringSubmatch(p.prose, -1) {
			checkLink(t, p.file, m[1])
		}
	}
}

func checkLink(t *testing.T, from, target string) {
	t.Helper()
	u, err := url.Parse(target)
	switch {
	case err != nil:
		t.Errorf("%s: %v", from, err)
		return
	case u.Scheme != "":
		if u.Scheme != "https" || u.Host == "" {
			t.Errorf("%s links to %s", from, target)
		}
		return
	}
	to := from
	if u.Path != "" {
		to = path.Join(path.Dir(from), u.Path)
	}
	if _, err := os.Stat(to); err != nil {
		t.Errorf("%s links to %s: %v", from, target, err)
		return
	}
	if u.Fragment != "" && !slices.Contains(anchors(read(t, to)), u.Fragment) {
		t.Errorf("%s links to %s: there is no such heading", from, target)
	}
}

// anchors are the names that headings have as targets of links.
func anchors(text string) (names []string) {
	for _, m := range heading.FindAllStringSubmatch(text, -1) {
		name := regexp.MustCompile(`[^\w\- ]`).ReplaceAllString(strings.ToLower(m[1]), "")
		names = append(names, strings.ReplaceAll(name, " ", "-"))
	}
	return names
}
