package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

// What the poller tells is described in asyncapi.yaml and in the schemas that it
// names. Here they are read, as a program of somebody else would do it.

// contract is what they say.
type contract []channel

// channel is a family of subjects with what may be told there.
type channel struct {
	name     string
	subject  *regexp.Regexp // of its address; a group for each parameter
	stream   string         // where it is kept, with parameters in braces
	messages map[string]described
}

// described is a message by the type of its CloudEvent.
type described struct{ headers, payload *jsonschema.Schema }

// message is what was found in a stream.
type message struct {
	stream, subject string
	headers         map[string]any
	data            []byte
}

const (
	contractFile = "asyncapi.yaml"
	contractAt   = "file:///contract/" // where the files are, for the references between them
	draft2020    = "https://json-schema.org/draft/2020-12/schema"
	draft7       = "http://json-schema.org/draft-07/schema"
)

// readContract reads it with schemas of the given draft.
func readContract(t *testing.T, draft string) contract {
	t.Helper()
	compiler := jsonschema.NewCompiler()
	compiler.AssertFormat()
	compiler.DefaultDraft(map[string]*jsonschema.Draft{draft2020: jsonschema.Draft2020, draft7: jsonschema.Draft7}[draft])
	files, err := filepath.Glob("../../schema/*.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		schema := readJSON(t, file).(map[string]any)
		if schema["$schema"] != draft2020 {
			t.Errorf("%s is of %v", file, schema["$schema"])
		}
		schema["$schema"] = draft
		addResource(t, compiler, "schema/"+filepath.Base(file), schema)
	}
	doc := readYAML(t, "../../"+contractFile)
	addResource(t, compiler, contractFile, doc)
	var c contract
	for name := range object(t, doc, "#/channels") {
		c = append(c, readChannel(t, compiler, doc, name))
	}
	return c
}

func addResource(t *testing.T, compiler *jsonschema.Compiler, name string, doc any) {
	t.Helper()
	if err := compiler.AddResource(contractAt+name, doc); err != nil {
		t.Fatal(err)
	}
}

func readChannel(t *testing.T, compiler *jsonschema.Compiler, doc any, name string) channel {
	t.Helper()
	at := "#/channels/" + name
	fields := object(t, doc, at)
	c := channel{name: name, stream: fields["x-stream"].(string), messages: map[string]described{}}
	pattern := regexp.QuoteMeta(fields["address"].(string))
	for parameter := range object(t, doc, at+"/parameters") {
		p := object(t, doc, at+"/parameters/"+parameter)
		whole := regexp.MustCompile(`^(` + p["x-pattern"].(string) + `)$`)
		for _, example := range p["examples"].([]any) {
			if !whole.MatchString(example.(string)) {
				t.Errorf("%s: parameter %s: %q is no example of %s", name, parameter, example, whole)
			}
		}
		pattern = strings.ReplaceAll(pattern, `\{`+parameter+`\}`, "(?P<"+parameter+">"+p["x-pattern"].(string)+")")
	}
	c.subject = regexp.MustCompile("^" + pattern + "$")
	for m := range object(t, doc, at+"/messages") {
		said := follow(t, doc, at+"/messages/"+m)
		c.messages[object(t, doc, said)["name"].(string)] = described{compile(t, compiler, said+"/headers"), compile(t, compiler, said+"/payload")}
	}
	return c
}

func compile(t *testing.T, compiler *jsonschema.Compiler, at string) *jsonschema.Schema {
	t.Helper()
	schema, err := compiler.Compile(contractAt + contractFile + at)
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

// object is what stands at a place of a document, references followed.
func object(t *testing.T, doc any, at string) map[string]any {
	t.Helper()
	found, ok := lookUp(doc, follow(t, doc, at)).(map[string]any)
	if !ok {
		t.Fatalf("%s: nothing at %s", contractFile, at)
	}
	return found
}

// follow is where a place leads to when the references are followed.
func follow(t *testing.T, doc any, at string) string {
	t.Helper()
	for {
		found, _ := lookUp(doc, at).(map[string]any)
		ref, ok := found["$ref"].(string)
		if !ok {
			return at
		}
		at = ref
	}
}

func lookUp(doc any, at string) any {
	for _, step := range strings.Split(at, "/")[1:] {
		m, _ := doc.(map[string]any)
		doc = m[step]
	}
	return doc
}

// judge says what a message does against the contract: nothing, if nil.
func (c contract) judge(m message) error {
	var found *channel
	var parts []string
	for i := range c {
		if p := c[i].subject.FindStringSubmatch(m.subject); p != nil && found != nil {
			return fmt.Errorf("%s is in two channels", m.subject)
		} else if p != nil {
			found, parts = &c[i], p
		}
	}
	if found == nil {
		return fmt.Errorf("%s is in no channel", m.subject)
	}
	stream := found.stream
	for i, parameter := range found.subject.SubexpNames() {
		stream = strings.ReplaceAll(stream, "{"+parameter+"}", parts[i])
	}
	if stream != m.stream {
		return fmt.Errorf("%s is kept in %s, not in %s", m.subject, m.stream, stream)
	}
	return found.judge(m)
}

func (c *channel) judge(m message) error {
	data, err := jsonschema.UnmarshalJSON(bytes.NewReader(m.data))
	if err != nil {
		return err
	}
	envelope, _ := data.(map[string]any)
	kind, _ := envelope["type"].(string)
	said, ok := c.messages[kind]
	if !ok {
		return fmt.Errorf("%s is told on channel %s", kind, c.name)
	}
	return errors.Join(said.headers.Validate(m.headers), said.payload.Validate(data))
}

// judgeAs judges the data alone, as a message of the given type.
func (c contract) judgeAs(kind string, data []byte) error {
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
	if err != nil {
		return err
	}
	for _, channel := range c {
		if said, ok := channel.messages[kind]; ok {
			return said.payload.Validate(doc)
		}
	}
	return fmt.Errorf("%s is told nowhere", kind)
}

func readJSON(t *testing.T, file string) any {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	return doc
}

func readYAML(t *testing.T, file string) any {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if text, err = yaml.YAMLToJSON(text); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	return doc
}

// clone is a copy that can be changed.
func clone(t *testing.T, doc any) any {
	t.Helper()
	text, err := json.Marshal(doc)
	if err != nil {
		t.Fatal(err)
	}
	copied, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return copied
}
