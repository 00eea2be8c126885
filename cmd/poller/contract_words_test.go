package main

import (
	"bytes"
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/zim-presence/poller/presence"
)

// Every type and kind that package presence can tell is in the files, and they
// tell of none beside.
func TestContractWords(t *testing.T) {
	t.Parallel()
	types := typesTold(t)
	if len(types) < 4 || !slices.Contains(types, presence.EventType) {
		t.Errorf("types of package presence: %v", types)
	}
	var described []string
	for _, c := range readContract(t, draft2020) {
		for kind := range c.messages {
			described = append(described, kind)
		}
	}
	slices.Sort(described)
	if described = slices.Compact(described); !slices.Equal(types, described) {
		t.Errorf("package presence tells %v, %s describes %v", types, contractFile, described)
	}
	for _, kind := range types {
		schema := readJSON(t, "../../schema/"+kind+".json")
		if got := lookUp(schema, "#/properties/type/const"); got != kind {
			t.Errorf("schema/%s.json is of %v", kind, got)
		}
	}
	files, err := filepath.Glob("../../schema/*")
	if err != nil || len(files) != len(types) {
		t.Errorf("schema has %v (%v), want one for each of %v", files, err, types)
	}
	doc := readYAML(t, "../../"+contractFile)
	event := readJSON(t, "../../schema/"+presence.EventType+".json")
	for place, shown := range map[string]any{
		"the schema":                          lookUp(event, "#/properties/data/properties/kind/examples"),
		"the subject in " + contractFile:      lookUp(doc, "#/components/parameters/kind/examples"),
		"the control word in " + contractFile: lookUp(doc, "#/channels/control/parameters/word/examples"),
		"a replay's kind in " + contractFile:  lookUp(doc, "#/channels/replay/parameters/kind/examples"),
	} {
		want := kindsTold()
		switch {
		case strings.HasPrefix(place, "the control"):
			want = []string{presence.ErasedWord, presence.IncidentWord, presence.LeaseWord, presence.SweepWord}
		case strings.HasPrefix(place, "a replay"):
			want = slices.DeleteFunc(want, func(kind string) bool { return kind == presence.ErasedWord }) // not told again
			want = append(want, presence.StandingWord)
		}
		if got := words(shown); !slices.Equal(got, want) {
			t.Errorf("%s shows the words %v, want %v", place, got, want)
		}
	}
}

func words(list any) (all []string) {
	entries, _ := list.([]any)
	for _, w := range entries {
		all = append(all, w.(string))
	}
	return all
}

// kindsTold are the words of all kinds.
func kindsTold() (all []string) {
	for kind := presence.KindOnline; ; kind++ {
		word, err := kind.MarshalText()
		if err != nil {
			return all
		}
		all = append(all, string(word))
	}
}

// typesTold are the CloudEvents types in package presence, the constants that are called so.
func typesTold(t *testing.T) (all []string) {
	t.Helper()
	err := fs.WalkDir(os.DirFS("../../presence"), ".", func(name string, _ fs.DirEntry, err error) error {
		if err != nil || filepath.Dir(name) != "." || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), "../../presence/"+name, nil, 0)
		if err != nil {
			return err
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if spec, ok := n.(*ast.ValueSpec); ok && len(spec.Values) == 1 && strings.HasSuffix(spec.Names[0].Name, "Type") {
				if value, ok := spec.Values[0].(*ast.BasicLit); ok && strings.HasPrefix(value.Value, `"presence.`) {
					all = append(all, strings.Trim(value.Value, `"`))
				}
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// What the pages show as told is as the schemas say.
func TestContractShown(t *testing.T) {
	t.Parallel()
	b := readBoth(t)
	shown := 0
	files, err := filepath.Glob("../../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, block := range regexp.MustCompile("(?ms)^```json\n(.*?)^```$").FindAllSubmatch(text, -1) {
			decoder := json.NewDecoder(bytes.NewReader(block[1]))
			for decoder.More() {
				var e json.RawMessage
				if err := decoder.Decode(&e); err != nil {
					t.Fatalf("%s: %v in %s", file, err, block[1])
				}
				if !bytes.Contains(e, []byte(`"specversion"`)) {
					continue
				}
				shown++
				if err := b.judgeAs(typeOf(t, e), e); err != nil {
					t.Errorf("%s shows %s: %v", file, e, err)
				}
			}
		}
	}
	if shown < 2 {
		t.Errorf("%d messages are shown", shown)
	}
}
