package audit

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/zim-presence/poller/presence"
)

// published is an event as it is in the stream, or has to be.
type published struct {
	id, subject, contentType string
	data                     []byte
}

// difference says where the stream's event is not the ledger's, and how each of
// them has it there: one place, the first. It is empty where they agree.
func difference(stream, ledger published) string {
	for _, part := range []struct{ name, stream, ledger string }{
		{"the header " + presence.HeaderID, stream.id, ledger.id},
		{"the subject", stream.subject, ledger.subject},
		{"the header " + presence.HeaderType, stream.contentType, ledger.contentType},
	} {
		if part.stream != part.ledger {
			return fmt.Sprintf("%s: stream %s, ledger %s", part.name, quoted(part.stream), quoted(part.ledger))
		}
	}
	if bytes.Equal(stream.data, ledger.data) {
		return ""
	}
	a, b := leaves(stream.data), leaves(ledger.data)
	for _, path := range slices.Sorted(maps.Keys(b)) {
		if a == nil {
			break // no JSON
		}
		if a[path] != b[path] {
			return fmt.Sprintf("%s: stream %s, ledger %s", path, short(a[path]), short(b[path]))
		}
	}
	return differentBytes(stream.data, ledger.data)
}

// differentBytes is for data whose fields are the same, or that has none.
func differentBytes(stream, ledger []byte) string {
	at := 0
	for at < min(len(stream), len(ledger)) && stream[at] == ledger[at] {
		at++
	}
	return fmt.Sprintf("byte %d: stream %s, ledger %s", at, quoted(string(stream[at:])), quoted(string(ledger[at:])))
}

// leaves are the fields of an object by their paths, as JSON; nil where it is none.
func leaves(data []byte) map[string]string {
	var object map[string]any
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	if d.Decode(&object) != nil {
		return nil
	}
	all := map[string]string{}
	gather(all, "", object)
	return all
}

func gather(all map[string]string, prefix string, object map[string]any) {
	for name, value := range object {
		if inner, ok := value.(map[string]any); ok {
			gather(all, prefix+name+".", inner)
			continue
		}
		text, err := json.Marshal(value)
		if err != nil {
			text = strconv.AppendQuote(nil, fmt.Sprint(value))
		}
		all[prefix+name] = string(text)
	}
}

func quoted(text string) string {
	if text == "" {
		return short(text)
	}
	return strconv.Quote(short(text))
}

// short is the beginning of a text, enough to see what it is.
func short(text string) string {
	const most = 80
	if text == "" {
		return "nothing"
	}
	if len(text) > most {
		return text[:most] + "…"
	}
	return text
}
