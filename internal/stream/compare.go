package stream

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"strconv"
	"strings"

	"github.com/nats-io/nats.go/jetstream"
)

// aspect is one field of a stream's configuration: how it is read, and what
// it breaks when it is not as wanted.
type aspect struct {
	field string
	// read returns the value for people; equal texts are equal values.
	read func(c *jetstream.StreamConfig) string
	// breaks says which promise; empty for a difference that harms none.
	breaks string
	// only, where set, tells in which cases it does.
	only func(have *jetstream.StreamConfig) bool
	// edit holds the flags of `nats stream edit`; empty where the server refuses
	// the change, and the stream must be made anew.
	edit string
	// fixed, where set, tells in which cases it refuses the change.
	fixed func(have *jetstream.StreamConfig) bool
}

// compare judges what stands by a table of aspects. remake is the command that
// removes the stream, so that it is made anew.
func compare(have, want *jetstream.StreamConfig, table []aspect, remake string) (broken []Difference, warnings []string) {
	for _, a := range table {
		has, wants := a.read(have), a.read(want)
		if has == wants {
			continue
		}
		if a.breaks == "" || a.only != nil && !a.only(have) {
			warnings = append(warnings, fmt.Sprintf("%s of %s is %s, not %s; left as it stands", a.field, have.Name, has, wants))
			continue
		}
		mend := remake
		if a.edit != "" && (a.fixed == nil || !a.fixed(have)) && !have.Sealed {
			mend = "nats stream edit " + have.Name + " " + a.edit
		}
		broken = append(broken, Difference{Stream: have.Name, Field: a.field, Have: has, Want: wants, Breaks: a.breaks, Mend: mend})
	}
	return broken, warnings
}

// The forms in which values are told.

func limit[N int | int32 | int64](n N) string {
	if n <= 0 {
		return "unlimited"
	}
	return strconv.FormatInt(int64(n), 10)
}

func list(words []string) string { return cmp.Or(strings.Join(words, ", "), "none") }

func asJSON(v any) string {
	data, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	switch text := string(data); text {
	case "null", "{}", "[]", `{"cluster":""}`:
		return "none"
	default:
		return text
	}
}

// ownMetadata leaves out what the server itself notes.
func ownMetadata(c *jetstream.StreamConfig) string {
	own := maps.Clone(c.Metadata)
	maps.DeleteFunc(own, func(k, _ string) bool { return strings.HasPrefix(k, "_nats.") })
	return asJSON(own)
}

func yes(b bool) string { return strconv.FormatBool(b) }
