package poller_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/zim-presence/poller"

// house is the architecture: each package, and what of the project it may
// import. Tests may import more.
//
//	cmd/poller ─→ everything
//	corridors ─→ presence, and what is pure
//	doors ────→ presence
//	presence ─→ the standard library
var house = map[string][]string{
	"cmd/poller": {"*"},
	"migrations": {},

	// What other programs import.
	"presence":        {},
	"presence/follow": {"presence"},
	"examples/follow": {"presence/follow"},

	// What is pure.
	"internal/diff":   {"presence"},
	"internal/past":   {"presence"},
	"internal/budget": {},
	"internal/share":  {},
	"internal/clock":  {},
	"internal/plan":   {},

	"internal/evidence": {"presence"},

	// Doors: one to each thing outside.
	"internal/watchlist": {"presence"},
	"internal/zim":       {"presence"},
	"internal/ledger":    {"presence"},
	"internal/stream":    {"presence"},

	// Corridors: they declare what they need of the doors.
	"internal/poll":   {"presence", "internal/diff"},
	"internal/relay":  {"presence"},
	"internal/replay": {"presence", "internal/past"},

	"internal/status":   {"presence"},
	"internal/page":     {"presence"},
	"internal/callback": {},
	"internal/audit":    {"presence"},

	// For the demo and for tests.
	"internal/zimsim":          {},
	"internal/local":           {},
	"internal/local/localtest": {"internal/local"},
	"internal/chaos":           {},
}

// standardOnly import nothing but the standard library and what the house
// allows: other programs import them.
var standardOnly = []string{"presence"}

// floorless are names that say nothing, so that anything would fit into them.
var floorless = []string{"util", "utils", "common", "base", "helper", "helpers", "lib", "types", "misc", "shared", "manager", "service"}

// globals are the package-level variables that are neither errors nor embedded
// nor constants in all but name, with the reason for each.
var globals = map[string]string{
	"internal/local/localtest.shared": "the process is the owner of the Postgres that its tests share",
	"cmd/poller.version":              "set by the linker",
}

func TestArrows(t *testing.T) {
	rooms := parse(t)
	for dir, files := range rooms {
		allowed, known := house[dir]
		if !known {
			t.Errorf("package %s is not in the table: say what it may import", dir)
			continue
		}
		for _, f := range files {
			for _, spec := range f.Imports {
				imported, err := strconv.Unquote(spec.Path.Value)
				if err != nil {
					t.Fatal(err)
				}
				switch room, ours := strings.CutPrefix(imported, module+"/"); {
				case ours && !slices.Contains(allowed, room) && !slices.Contains(allowed, "*"):
					t.Errorf("%s imports %s; it may import %v", dir, room, allowed)
				case !ours && slices.Contains(standardOnly, dir) && strings.Contains(strings.Split(imported, "/")[0], "."):
					t.Errorf("%s imports %s; it may import the standard library alone", dir, imported)
				}
			}
		}
	}
	for dir, allowed := range house {
		for _, room := range append(allowed, dir) {
			if _, exists := rooms[room]; !exists && room != "*" {
				t.Errorf("the row of %s names %s, which is no package any more", dir, room)
			}
		}
	}
}

func TestPackageNames(t *testing.T) {
	for dir, files := range parse(t) {
		name := files[0].Name.Name
		if slices.Contains(floorless, name) || slices.Contains(floorless, path.Base(dir)) {
			t.Errorf("package %s in %s: the name does not say what it is for", name, dir)
		}
		if want := path.Base(dir); name != want && name != "main" {
			t.Errorf("package %s is in %s", name, dir)
		}
	}
}

// Nothing happens before main, no variable is shared by everybody, and no
// context outlives the call that it was made for.
func TestLaws(t *testing.T) {
	found := map[string]bool{}
	for dir, files := range parse(t) {
		for _, f := range files {
			for _, decl := range f.Decls {
				if fn, ok := decl.(*ast.FuncDecl); ok && fn.Recv == nil && fn.Name.Name == "init" {
					t.Errorf("%s has a function init", dir)
				}
				for _, name := range variables(decl) {
					found[dir+"."+name] = true
					if globals[dir+"."+name] == "" {
						t.Errorf("%s has the global variable %s", dir, name)
					}
				}
			}
			ast.Inspect(f, func(n ast.Node) bool {
				if s, ok := n.(*ast.StructType); ok {
					for _, field := range s.Fields.List {
						if selects(field.Type, "context", "Context") {
							t.Errorf("%s stores a context", dir)
						}
					}
				}
				return true
			})
		}
	}
	for name := range globals {
		if !found[name] {
			t.Errorf("the exception of %s is of no use any more", name)
		}
	}
}

// variables returns the variables that a declaration makes and that need a
// reason.
func variables(decl ast.Decl) (names []string) {
	gen, ok := decl.(*ast.GenDecl)
	if !ok || gen.Tok != token.VAR {
		return nil
	}
	for _, spec := range gen.Specs {
		v, ok := spec.(*ast.ValueSpec)
		if !ok || embedded(gen.Doc) || embedded(v.Doc) {
			continue
		}
		for i, name := range v.Names {
			if name.Name != "_" && (i >= len(v.Values) || !constant(name.Name, v.Values[i])) {
				names = append(names, name.Name)
			}
		}
	}
	return names
}

// constant tells whether the value is a sentinel error or a compiled expression.
func constant(name string, value ast.Expr) bool {
	call, ok := value.(*ast.CallExpr)
	if !ok {
		return false
	}
	isError := strings.HasPrefix(name, "Err") || strings.HasPrefix(name, "err")
	return isError && (selects(call.Fun, "errors", "New") || selects(call.Fun, "fmt", "Errorf")) || selects(call.Fun, "regexp", "MustCompile")
}

func selects(e ast.Expr, of, name string) bool {
	sel, ok := e.(*ast.SelectorExpr)
	if !ok || sel.Sel.Name != name {
		return false
	}
	x, ok := sel.X.(*ast.Ident)
	return ok && x.Name == of
}

func embedded(doc *ast.CommentGroup) bool {
	return doc != nil && slices.ContainsFunc(doc.List, func(c *ast.Comment) bool { return strings.HasPrefix(c.Text, "//go:embed ") })
}

// parse reads every package of the module, tests aside, for every platform.
func parse(t *testing.T) map[string][]*ast.File {
	t.Helper()
	rooms := map[string][]*ast.File{}
	fset := token.NewFileSet()
	err := filepath.WalkDir(".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			return enter(name)
		}
		if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			return nil
		}
		f, err := parser.ParseFile(fset, name, nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		dir := filepath.ToSlash(filepath.Dir(name))
		rooms[dir] = append(rooms[dir], f)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(rooms) == 0 {
		t.Fatal("no package was found")
	}
	return rooms
}

// enter passes over what the go command does: hidden directories, test data and
// other modules.
func enter(dir string) error {
	base := filepath.Base(dir)
	if dir != "." && (strings.HasPrefix(base, ".") || strings.HasPrefix(base, "_") || base == "testdata" || base == "vendor") {
		return filepath.SkipDir
	}
	if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil && dir != "." {
		return filepath.SkipDir
	}
	return nil
}
