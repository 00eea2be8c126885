package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// scripts writes the script of each shell into a directory, and returns it.
func scripts(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, shell := range []string{"bash", "zsh", "fish"} {
		var script, complaint bytes.Buffer
		if code := execute(t.Context(), []string{"completion", shell}, nil, &script, &complaint); code != 0 {
			t.Fatalf("completion %s: exit code %d, %s", shell, code, complaint.String())
		}
		if err := os.WriteFile(filepath.Join(dir, shell), script.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// completed is what is asked of each shell: a line up to the cursor, and some of what is offered, or all of it.
var completed = []struct {
	line string
	want []string
	only bool // nothing else is offered
}{
	{line: "poller ", want: []string{"run", "state", "watch", "zim-simulator", "completion"}},
	{line: "poller zi", want: []string{"zim-simulator"}, only: true},
	{line: "poller watch ", want: []string{"add", "remove", "import", "export", "list", "count"}, only: true},
	{line: "poller watch im", want: []string{"import"}, only: true},
	{line: "poller verify --out", want: []string{"--output"}, only: true},
	{line: "poller state --output ", want: []string{"csv", "json", "count"}, only: true},
	{line: "poller state -o c", want: []string{"csv", "count"}, only: true},
	{line: "poller replay li", want: []string{"list"}, only: true},
	{line: "poller replay --users-", want: []string{"--users-file"}, only: true},
	{line: "poller replay --kind remo", want: []string{"removed"}, only: true},
	{line: "poller completion ", want: []string{"bash", "zsh", "fish"}, only: true},
	{line: "poller --config watch pl", want: []string{"plan"}, only: true}, // the value of a flag is no command
	{line: "poller run --no-", want: []string{"--no-migrate"}, only: true},
	{line: "poller --config sam", want: []string{"sample file.yaml"}, only: true},
	{line: "poller watch import sam", want: []string{"sample file.yaml"}, only: true},
	{line: "poller watch add sam"},
}

func TestCompletion(t *testing.T) {
	dir := scripts(t)
	here := t.TempDir()
	if err := os.WriteFile(filepath.Join(here, "sample file.yaml"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	offer := map[string]func(*testing.T, string, string) []string{"bash": inBash, "fish": inFish, "zsh": inZsh}
	for shell, offered := range offer {
		if _, err := exec.LookPath(shell); err != nil && shell != "bash" {
			t.Logf("no %s on this machine", shell)
			continue
		}
		t.Chdir(here)
		for _, a := range completed {
			got := offered(t, filepath.Join(dir, shell), a.line)
			missing := slices.ContainsFunc(a.want, func(w string) bool { return !slices.Contains(got, w) })
			if missing || (a.only || len(a.want) == 0) && len(got) != len(a.want) {
				t.Errorf("%s: %q offers %q, want %q", shell, a.line, got, a.want)
			}
		}
	}
}

// inBash cuts the line into words as bash does.
func inBash(t *testing.T, script, line string) []string {
	words := strings.Split(line, " ")
	return lines(t, exec.CommandContext(t.Context(), "bash", append([]string{"--norc", "-c", `
		. "$0"
		COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
		_poller
		[ ${#COMPREPLY[@]} -eq 0 ] || printf '%s\n' "${COMPREPLY[@]}"`, script}, words...)...))
}

// bash takes --flag=value apart.
func TestCompletionBashSign(t *testing.T) {
	script := filepath.Join(scripts(t), "bash")
	for line, want := range map[string][]string{
		"poller state --output =":             {"csv", "json", "count"},
		"poller state --output = js":          {"json"},
		"poller state --output = json --onl":  {"--online"},
		"poller replay --kind = online --dry": {"--dry-run"},
	} {
		if got := inBash(t, script, line); !slices.Equal(got, want) {
			t.Errorf("%q offers %q, want %q", line, got, want)
		}
	}
}

func inFish(t *testing.T, script, line string) []string {
	got := lines(t, exec.CommandContext(t.Context(), "fish", "--no-config", "-c", `source $argv[1]; complete -C $argv[2]`, script, line))
	for i, l := range got {
		got[i], _, _ = strings.Cut(l, "\t")
		got[i] = strings.ReplaceAll(got[i], `\ `, " ")
	}
	return got
}

// inZsh types the line into a zsh of its own, and has it list what it offers.
func inZsh(t *testing.T, script, line string) []string {
	said, err := exec.CommandContext(t.Context(), "zsh", "-f", "-c", `
		zmodload zsh/zpty
		zpty shell zsh -f -i
		zpty -w shell 'PS1= PROMPT_EOL_MARK= ; stty columns 400 rows 100; autoload -Uz compinit; compinit -u -D; source '${(q)1}
		zpty -w shell '
			_offer() { compadd() {
				local -a said described; local name
				if [[ ${@[1,(i)(-|--)]} == *-(O|A|D)\ * ]]; then builtin compadd "$@"; return; fi
				builtin compadd -A said "$@"
				for name in $said; do print -r -- "<${(Q)name}>" >>$OFFERED; done
				builtin compadd "$@"
			}; _main_complete }
			zle -C offer list-choices _offer
			bindkey "^X" offer; bindkey "^Y" quit; quit() { print "<<end>>" >>$OFFERED; exit }; zle -N quit
			zstyle ":completion:*" list-prompt ""; LISTMAX=1000'
		zpty -w shell "OFFERED=$3; : >\$OFFERED"
		zpty -w -n shell "$2"$'\x18\x19'
		while zpty -r shell chunk; do :; done
		cat $3`, "zsh", script, line, filepath.Join(t.TempDir(), "offered")).CombinedOutput()
	if err != nil || !bytes.Contains(said, []byte("<<end>>")) {
		t.Fatalf("zsh: %v\n%s", err, said)
	}
	var got []string
	for _, m := range regexp.MustCompile(`(?m)^<([^<>]+)>$`).FindAllSubmatch(said, -1) {
		got = append(got, string(m[1]))
	}
	slices.Sort(got)
	return slices.Compact(got)
}

func lines(t *testing.T, cmd *exec.Cmd) []string {
	t.Helper()
	var complaint bytes.Buffer
	cmd.Stderr = &complaint
	said, err := cmd.Output()
	if err != nil || complaint.Len() > 0 {
		t.Fatalf("%s: %v\n%s", cmd.Path, err, complaint.String())
	}
	return strings.FieldsFunc(string(said), func(r rune) bool { return r == '\n' })
}
