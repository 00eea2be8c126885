package zimsim

import (
	"net/url"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// What is accepted is read as net/url reads it.
func FuzzQuery(f *testing.F) {
	f.Add(valid("a", "b c", "ü", "!#$%&()+-:;<=.>?@[]^_{}|~").String())
	f.Add("UserId%5B%5D=a+b&UserId[]=%2b&AppId=1")
	f.Add("UserId[]=%&UserId[]=%zz&Action")
	f.Fuzz(func(t *testing.T, raw string) {
		var q query
		q.read(raw)
		if q.bad != "" || q.asked > mostIDs {
			return
		}
		values, err := url.ParseQuery(raw)
		if err != nil {
			t.Fatalf("%q: accepted, but %v", raw, err)
		}
		if ids := values["UserId[]"]; !slices.Equal(q.ids, ids) || q.asked != len(ids) {
			t.Fatalf("%q: got %q, want %q", raw, q.ids, ids)
		}
		for f := range fieldCount {
			if q.fields[f] != values.Get(f.String()) {
				t.Fatalf("%q: %s: got %q", raw, f, q.fields[f])
			}
		}
	})
}

// Any id survives the way through a query, and any batch is judged for repetitions as a set would.
func TestQueryIDs(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ids := rapid.SliceOfN(rapid.OneOf(rapid.StringN(0, 8, -1), rapid.StringMatching("[ab]{1,3}")), 0, 100).Draw(t, "ids")
		var q query
		q.read(valid(ids...).String())
		if diff := cmp.Diff(append([]string{}, q.ids...), append([]string{}, ids...)); diff != "" || q.bad != "" {
			t.Fatalf("%s: %s", q.bad, diff)
		}
		want := -1
		for i, id := range ids {
			if slices.Contains(ids[:i], id) {
				want = i
				break
			}
		}
		if got := repeated(q.ids); got != want {
			t.Fatalf("first repetition: got %d, want %d", got, want)
		}
	})
}
