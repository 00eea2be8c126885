package poller_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// badDays are the rows of the table of docs/reliability.md, all of them: what was
// promised for each is not to be left out.
var badDays = []string{
	"the configuration has an unknown key, a bad schedule, a rate that is not positive, no secret",
	"a watched id is empty, over 64 bytes, or has an illegal character",
	"one id makes ZIM refuse its whole batch",
	"the watchlist is empty, or suddenly so",
	"ZIM times out, answers 5xx, cuts the connection, answers HTML, half a JSON or Code 1",
	"ZIM does not answer at all: 20 requests in a row bring nothing, or nobody answers a connect",
	"the clock of the machine and that of ZIM differ",
	"the clock of the machine is set back, or the machine sleeps",
	"ZIM says of many at once that they are offline, and they are not",
	"ZIM says too many requests: Code 7, 660300005, HTTP 429",
	"ZIM refuses the secret, or is not enabled for the app",
	"an answer leaves users out, names others, or has an unknown status word",
	"NATS is away",
	"acknowledgements are lost, late, doubled, out of order, or of somebody else",
	"a node of a NATS cluster is killed, again and again",
	"the event stream is missing, full, altered, or written to by somebody else",
	"Postgres is away",
	"Postgres is restored to a state older than the stream",
	"of several replicas one comes, goes, hangs, is cut off, is believed dead, or wakes up",
	"the process is killed, anywhere",
	"more sweeps are due than there is time for",
	"SIGTERM",
	"the disk of the event stream is rolled back",
}

// Each bad day has its row, and each row names tests that there are, by package.
func TestDocsBadDays(t *testing.T) {
	there := tests(t)
	_, table, _ := strings.Cut(read(t, "docs/reliability.md"), "## What happens on a bad day")
	table, _, _ = strings.Cut(table, "\n## ")
	var shown []string
	for _, m := range regexp.MustCompile(`(?m)^\| ([^|]+) \| ([^|]+) \| ([^|]+) \|$`).FindAllStringSubmatch(table, -1) {
		what, held := m[1], m[3]
		if what == "what" {
			continue
		}
		shown = append(shown, what)
		for part := range strings.SplitSeq(held, "; ") {
			words := span.FindAllStringSubmatch(part, -1)
			if len(words) < 2 {
				t.Errorf("%s: %q names no package and test", what, part)
				continue
			}
			for _, name := range words[1:] {
				if !there[words[0][1]+" "+name[1]] {
					t.Errorf("%s: %s has no test %s", what, words[0][1], name[1])
				}
			}
		}
	}
	if !slices.Equal(shown, badDays) {
		t.Errorf("docs/reliability.md has the rows\n%q\nwant\n%q", shown, badDays)
	}
}

// tests are all tests of the tree, as "package TestName".
func tests(t *testing.T) map[string]bool {
	t.Helper()
	found := map[string]bool{}
	err := filepath.WalkDir(".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			return enter(name)
		}
		if !strings.HasSuffix(name, "_test.go") {
			return nil
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		for _, d := range f.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && strings.HasPrefix(fn.Name.Name, "Test") {
				found[filepath.ToSlash(filepath.Dir(name))+" "+fn.Name.Name] = true
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}
