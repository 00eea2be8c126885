package poller_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/zim-presence/poller/internal/local/localtest"
	"github.com/zim-presence/poller/migrations"
	"github.com/zim-presence/poller/presence"
)

func TestMain(m *testing.M) { os.Exit(localtest.Main(m).Run()) }

// The programs that are shown compile.
func TestDocsGo(t *testing.T) {
	for _, p := range pages(t) {
		for _, b := range p.blocks {
			if b.language != "go" {
				continue
			}
			file := filepath.Join(t.TempDir(), "main.go")
			if err := os.WriteFile(file, []byte(b.text), 0o600); err != nil {
				t.Fatal(err)
			}
			goBuild(t, os.DevNull, file)
		}
	}
}

// The program of the README is the one that it says how to run.
func TestDocsReadmeProgram(t *testing.T) {
	const file = "examples/follow/main.go"
	_, program, _ := strings.Cut(read(t, file), "\npackage main\n")
	readme := read(t, "README.md")
	if !strings.Contains(readme, "```go\npackage main\n"+program+"```\n") {
		t.Errorf("README.md does not show %s as it is", file)
	}
	if !strings.Contains(readme, "\ngo run ./examples/follow\n") {
		t.Errorf("README.md does not say how to run %s", file)
	}
}

// The event that is shown is one, byte for byte but for the line breaks.
func TestDocsEvent(t *testing.T) {
	for _, p := range pages(t) {
		for _, b := range p.blocks {
			if b.language != "json" || !strings.Contains(b.text, presence.EventType) {
				continue
			}
			shown := regexp.MustCompile(`\n *`).ReplaceAllString(b.text, "")
			event, err := presence.ParseEvent([]byte(shown))
			if err != nil {
				t.Fatalf("%s: %v", p.file, err)
			}
			if got, err := event.Data(); err != nil || string(got) != shown {
				t.Errorf("%s shows\n%s\nwhich would be told as\n%s (%v)", p.file, shown, got, err)
			}
			return
		}
	}
	t.Error("no event is shown")
}

// The table of rooms is the one that is held by TestArrows.
func TestDocsRooms(t *testing.T) {
	shown := map[string][]string{}
	for _, m := range regexp.MustCompile("(?m)^\\| `([\\w/]+)` \\| .* \\| (.*) \\|$").FindAllStringSubmatch(read(t, "ARCHITECTURE.md"), -1) {
		shown[m[1]] = []string{}
		for _, room := range span.FindAllStringSubmatch(m[2], -1) {
			shown[m[1]] = append(shown[m[1]], room[1])
		}
		if m[2] == "everything" {
			shown[m[1]] = []string{"*"}
		}
	}
	for room, allowed := range house {
		if got, ok := shown[room]; !ok || !slices.Equal(got, allowed) {
			t.Errorf("ARCHITECTURE.md says that %s may import %v; it may import %v", room, got, allowed)
		}
	}
	if len(shown) != len(house) {
		t.Errorf("ARCHITECTURE.md shows %d rooms of %d", len(shown), len(house))
	}
}

// The statements that are shown run, and the columns that are named exist.
func TestDocsSQL(t *testing.T) {
	settings, err := pgx.ParseConfig(localtest.Postgres(t))
	if err != nil {
		t.Fatal(err)
	}
	name := stdlib.RegisterConnConfig(settings)
	defer stdlib.UnregisterConnConfig(name)
	if _, err := migrations.Up(t.Context(), name); err != nil {
		t.Fatal(err)
	}
	conn, err := pgx.ConnectConfig(t.Context(), settings)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	for _, p := range pages(t) {
		for _, statement := range statements(t, p) {
			if _, err := conn.Exec(t.Context(), statement); err != nil {
				t.Errorf("%s shows %s: %v", p.file, statement, err)
			}
		}
	}
}

// statements returns what a page shows or implies as SQL. What makes roles and
// databases, or speaks of a certain day, is for the reader's own server.
func statements(t *testing.T, p page) (all []string) {
	for _, line := range p.shell() {
		if m := regexp.MustCompile(`^psql .* -c "(.*)"$`).FindStringSubmatch(line); m != nil {
			all = append(all, m[1])
		}
	}
	for _, word := range p.spans() {
		if strings.HasPrefix(word, "select ") {
			all = append(all, word)
		}
	}
	for _, b := range p.blocks {
		if b.language == "sql" {
			for statement := range strings.SplitSeq(b.text, ";") {
				if !regexp.MustCompile(`^\s*(create (role|database)|grant|revoke|drop table|$)`).MatchString(statement) {
					all = append(all, statement)
				}
			}
		}
	}
	for _, section := range strings.Split(p.prose, "\n### ")[1:] {
		heading, _, _ := strings.Cut(section, "\n")
		table := span.FindStringSubmatch(heading)
		if table == nil {
			continue // it is of something else
		}
		for _, row := range regexp.MustCompile(`(?m)^\| ([^|]+) \|`).FindAllStringSubmatch(section, -1) {
			for _, column := range span.FindAllStringSubmatch(row[1], -1) {
				all = append(all, "select "+column[1]+" from "+table[1])
			}
		}
	}
	if p.file == "docs/events.md" && len(all) < 20 {
		t.Errorf("%s: few statements are found: %v", p.file, all)
	}
	return all
}
