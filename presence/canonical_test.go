package presence

import (
	"strings"
	"testing"
)

// FuzzCanonical holds the fast way of reading against the slow one: what it takes,
// the slow one reads as the same event, and what is told is taken by it.
func FuzzCanonical(f *testing.F) {
	e := sample()
	good, err := e.Data()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(string(good))
	for old, other := range map[string]string{
		`"after":"2026-11-22T18:42:36.107920Z"`: `"after":null`, `"alice"`: `"a\\b"`, `"seq":41`: `"seq":041`, "-41\"": "-42\"",
		"Z\"": "z\"", `"kind":"online"`: `"kind":"erased"`, `"detail":""`: `"detail":"timeout"`, `}}`: `}} `, "1234567890": "4294967296",
		"2026-11-22": "2026-02-30", "T18:": "T24:", ":36.": ":60.", "7f3a90c2": "7F3A90C2", `"sweep":881`: `"sweep":9223372036854775807`,
		"/zim/1234567890": "/zim/1", `"subject":"alice"`: `"subject":"bob"`, `"time":"2026`: `"time":"2025`, "2026-": "0001-",
	} {
		f.Add(strings.ReplaceAll(string(good), old, other))
	}
	f.Fuzz(func(t *testing.T, text string) {
		slow, err := parseJSON([]byte(text))
		fast, ok := parseCanonical([]byte(text))
		if ok && (err != nil || slow != fast) {
			t.Errorf("%q is read as %+v, and slowly as %+v, %v", text, fast, slow, err)
		}
		if err != nil || !plainEvent(&slow) {
			return
		}
		told, err := slow.Data()
		if err != nil {
			t.Fatal(err)
		}
		if again, ok := parseCanonical(told); !ok || !sameEvent(again, slow) {
			t.Errorf("%s is what is told, and read as %+v, %t", told, again, ok)
		}
	})
}

// plainEvent tells whether an event is one that the poller tells day by day: the
// fast way has to take it.
func plainEvent(e *Event) bool {
	for _, c := range []byte(e.User.ID) {
		if !legalInUserID(c) {
			return false
		}
	}
	log := strings.Trim(e.Log, "0123456789abcdef") == "" && len(e.Log) == 8
	number := func(n int64) bool { return n >= 0 && n < 1e18 }
	return log && e.Kind != KindErased && number(e.Seq) && number(e.PrevSeq) && number(e.Sweep)
}

// BenchmarkParseEvent reads an event as the poller tells it, in both ways.
func BenchmarkParseEvent(b *testing.B) {
	e := sample()
	data, err := e.Data()
	if err != nil {
		b.Fatal(err)
	}
	for name, parse := range map[string]func([]byte) (Event, error){"as told": ParseEvent, "as JSON": parseJSON} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := parse(data); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
