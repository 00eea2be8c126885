package main

import (
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// asyncapi.yaml is what AsyncAPI 3.0.0 calls a document, by the schema that its
// makers publish.
func TestContractIsAsyncAPI(t *testing.T) {
	t.Parallel()
	compiler := jsonschema.NewCompiler()
	addResource(t, compiler, "official.json", readJSON(t, "testdata/asyncapi-3.0.0.json"))
	official, err := compiler.Compile(contractAt + "official.json")
	if err != nil {
		t.Fatal(err)
	}
	doc := readYAML(t, "../../"+contractFile)
	if err := official.Validate(doc); err != nil {
		t.Errorf("%#v", err)
	}
	for at, value := range map[string]any{
		"#/asyncapi": "2.6.0", "#/channels/events/place": "presence", "#/servers/nats/protocol": 4, "#/channels/events/messages": "none",
		"#/operations/tellEvent/action": "publish", "#/info/title": nil, "#/components/messages/event/contentType": false,
	} {
		if wrong := with(t, doc, at, value); official.Validate(wrong) == nil {
			t.Errorf("%s = %v is not refused", at, value)
		}
	}
}
