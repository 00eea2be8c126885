package presence_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/zim-presence/poller/presence"
)

var erasedAt = time.Date(2026, 11, 22, 18, 43, 36, 120114000, time.UTC)

func TestErasedGolden(t *testing.T) {
	e := presence.Erased{AppID: 1234567890, Seqs: presence.SeqSetOf(41, 7, 42, 43), ErasedAt: erasedAt}
	const want = `{"specversion":"1.0","id":"1234567890-erased-3bfe6dd484b57cae3ff0a31c97449e72","source":"/zim/1234567890",` +
		`"type":"presence.erased.v1","time":"2026-11-22T18:43:36.120114Z","datacontenttype":"application/json",` +
		`"data":{"app_id":1234567890,"seqs":[[7,7],[41,43]],"erased_at":"2026-11-22T18:43:36.120114Z"}}`
	data, err := e.Data()
	if err != nil || string(data) != want {
		t.Errorf("Data:\n%s, %v\nwant\n%s", data, err, want)
	}
	if got, want := e.Subject(), "presence.control.v1.1234567890.erased"; got != want {
		t.Errorf("Subject %s, want %s", got, want)
	}
}

func TestErasedRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		runs := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) presence.SeqRange {
			first := rapid.Int64Range(1, 1<<40).Draw(t, "first")
			return presence.SeqRange{First: first, Last: first + rapid.Int64Range(0, 9).Draw(t, "more")}
		}), 1, 50).Draw(t, "runs")
		at := presence.Instant(time.UnixMicro(rapid.Int64Range(0, 4e15).Draw(t, "at")))
		e := presence.Erased{AppID: rapid.Uint32().Draw(t, "app"), Seqs: presence.NewSeqSet(runs...), ErasedAt: at}
		data, err := e.Data()
		if err != nil {
			t.Fatal(err)
		}
		if !json.Valid(data) {
			t.Fatalf("no JSON: %s", data)
		}
		got, err := presence.ParseErased(data)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(e, got); diff != "" {
			t.Fatalf("round trip (-was +is):\n%s", diff)
		}
	})
}

func TestErasedRefused(t *testing.T) {
	good := `{"id":"x","type":"presence.erased.v1","data":{"app_id":1,"seqs":[[1,2],[5,5]],"erased_at":"2026-11-22T18:43:36.120114Z","more":1},"new":{}}`
	if _, err := presence.ParseErased([]byte(good)); err != nil {
		t.Fatalf("a message with more fields: %v", err)
	}
	for name, replace := range map[string][2]string{
		"another type":   {"presence.erased.v1", "presence.sweep.v1"},
		"no runs":        {"[[1,2],[5,5]]", "[]"},
		"zero":           {"[1,2]", "[0,2]"},
		"backwards":      {"[1,2]", "[2,1]"},
		"not ascending":  {"[[1,2],[5,5]]", "[[5,5],[1,2]]"},
		"touching":       {"[5,5]", "[3,5]"},
		"overlapping":    {"[5,5]", "[2,5]"},
		"no time":        {`"2026-11-22T18:43:36.120114Z"`, `"0001-01-01T00:00:00Z"`},
		"no number":      {"[5,5]", `["five",5]`},
		"too many":       {"[[1,2],[5,5]]", manyRuns(presence.MostErasedRanges + 1)},
		"no JSON at all": {"{", ""},
	} {
		if e, err := presence.ParseErased([]byte(strings.Replace(good, replace[0], replace[1], 1))); err == nil {
			t.Errorf("%s: read as %v, want an error", name, e)
		}
	}
}

func manyRuns(n int) string {
	runs := make([][2]int, n)
	for i := range runs {
		runs[i] = [2]int{2*i + 1, 2*i + 1}
	}
	data, _ := json.Marshal(runs)
	return string(data)
}

// TestErasedOf: what is too much for one message goes out in several, whose ids
// differ and stay the same when they are told again.
func TestErasedOf(t *testing.T) {
	var seqs []int64
	for i := range int64(2*presence.MostErasedRanges + 1) {
		seqs = append(seqs, 2*i+1)
	}
	set := presence.SeqSetOf(seqs...)
	told := presence.ErasedOf(1, set, erasedAt)
	again := presence.ErasedOf(1, set, erasedAt.Add(time.Hour))
	var all presence.SeqSet
	ids := map[string]bool{}
	for i := range told {
		if _, err := told[i].Data(); err != nil {
			t.Errorf("message %d: %v", i, err)
		}
		all = all.Union(told[i].Seqs)
		ids[told[i].ID()] = true
		if told[i].ID() != again[i].ID() {
			t.Errorf("message %d has another id when it is told again", i)
		}
	}
	if len(told) != 3 || len(ids) != 3 || !cmp.Equal(all, set) {
		t.Errorf("%d messages with %d ids, of %d numbers; want 3, 3 and %d", len(told), len(ids), all.Len(), set.Len())
	}
	if other := (presence.Erased{AppID: 2, Seqs: told[0].Seqs}); ids[other.ID()] {
		t.Error("another app has the same id")
	}
	if none := presence.ErasedOf(1, nil, erasedAt); len(none) != 0 {
		t.Errorf("no numbers are told as %v", none)
	}
}

// TestSeqSet compares the sets with the plainest there are.
func TestSeqSet(t *testing.T) {
	some := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) presence.SeqRange {
		first := rapid.Int64Range(1, 40).Draw(t, "first")
		return presence.SeqRange{First: first, Last: first + rapid.Int64Range(-1, 5).Draw(t, "more")}
	}), 0, 8)
	plain := func(runs []presence.SeqRange) map[int64]bool {
		set := map[int64]bool{}
		for _, run := range runs {
			for seq := run.First; seq <= run.Last; seq++ {
				set[seq] = true
			}
		}
		return set
	}
	rapid.Check(t, func(t *rapid.T) {
		a, b := some.Draw(t, "a"), some.Draw(t, "b")
		setA, setB := presence.NewSeqSet(a...), presence.NewSeqSet(b...)
		inA, inB := plain(a), plain(b)
		union, without := setA.Union(setB), setA.Without(setB)
		for seq := int64(0); seq < 50; seq++ {
			if got := setA.Contains(seq); got != inA[seq] {
				t.Fatalf("Contains(%d) of %v: %t", seq, setA, got)
			}
			if got := union.Contains(seq); got != (inA[seq] || inB[seq]) {
				t.Fatalf("%v with %v is %v", setA, setB, union)
			}
			if got := without.Contains(seq); got != (inA[seq] && !inB[seq]) {
				t.Fatalf("%v without %v is %v", setA, setB, without)
			}
		}
		if int(setA.Len()) != len(inA) || int(without.Len()) > len(inA) {
			t.Fatalf("%v has %d numbers, want %d", setA, setA.Len(), len(inA))
		}
		for _, set := range []presence.SeqSet{setA, union, without} {
			if diff := cmp.Diff(presence.NewSeqSet(set...), set); diff != "" {
				t.Fatalf("not in its shortest form (-short +is):\n%s", diff)
			}
		}
	})
}
