package presence

import (
	"strings"
	"testing"
	"time"
)

// FuzzParseEvent feeds the reader any bytes. What it takes for an event is told in bytes that it reads as the same event,
// and those are told as themselves: reading and telling are inverse.
func FuzzParseEvent(f *testing.F) {
	e := sample()
	good, err := e.Data()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(string(good))
	for old, other := range map[string]string{
		`"after":"`: `"after":null,"x":"`, `"alice"`: `"a\u0000\ud800\"\\é"`, `"seq":41`: `"seq":-1`, "-41\"": "--1\"", "Z\"": "+23:59\"",
		`"kind":"online",`: "", `"kind":"online"`: `"kind":"offline","kind":"removed"`, `"detail":""`: `"detail":"timeout"`, `}}`: `,"more":[1]},"x":{}}`,
		"1234567890": "4294967296", "2026": "9999", "7f3a90c2": "", "{": "[",
	} {
		f.Add(strings.ReplaceAll(string(good), old, other))
	}
	f.Fuzz(func(t *testing.T, text string) {
		read, err := ParseEvent([]byte(text))
		if err != nil {
			return
		}
		told, err := read.Data()
		if err != nil {
			t.Fatalf("%q was read as %+v, which cannot be told: %v", text, read, err)
		}
		again, err := ParseEvent(told)
		if err != nil {
			t.Fatalf("%q was read as %+v, told as %s, and then not read: %v", text, read, told, err)
		}
		if !sameEvent(read, again) {
			t.Errorf("%q was read as %+v, told as %s, and then read as %+v", text, read, told, again)
		}
		if twice, err := again.Data(); err != nil || string(twice) != string(told) {
			t.Errorf("%s was then told as %s, %v", told, twice, err)
		}
	})
}

// sameEvent compares all fields, times as moments.
func sameEvent(a, b Event) bool {
	same := a.ObservedAt.Equal(b.ObservedAt) && a.After.Equal(b.After) && a.After.IsZero() == b.After.IsZero()
	a.ObservedAt, a.After, b.ObservedAt, b.After = time.Time{}, time.Time{}, time.Time{}, time.Time{}
	return same && a == b
}
