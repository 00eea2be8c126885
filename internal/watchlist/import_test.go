package watchlist

import (
	"errors"
	"iter"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/zim-presence/poller/presence"
)

// entries is a source of these ids, on lines from 1.
func entries(ids ...string) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		for i, id := range ids {
			if !yield(Entry{i + 1, id}, nil) {
				return
			}
		}
	}
}

func TestImport(t *testing.T) {
	w, _ := open(t)
	if _, err := w.Add(t.Context(), app, []string{"a.b"}); err != nil {
		t.Fatal(err)
	}
	twice := append(slices.Clone(awkward), awkward...)
	got, err := w.Import(t.Context(), app, entries(twice...), false, nil)
	if want := (Imported{Read: len(twice), Added: len(awkward) - 1, Long: 2}); err != nil || !cmp.Equal(got, want) {
		t.Errorf("Import = %+v, %v, want %+v", got, err, want)
	}
	got, err = w.Import(t.Context(), app, entries(twice...), false, nil)
	if want := (Imported{Read: len(twice), Long: 2}); err != nil || !cmp.Equal(got, want) {
		t.Errorf("second Import = %+v, %v, want %+v", got, err, want)
	}
	ids, _ := read(t, w, app)
	slices.Sort(ids)
	if diff := cmp.Diff(slices.Sorted(slices.Values(awkward)), ids); diff != "" {
		t.Errorf("after Import (-want +got):\n%s", diff)
	}
}

func TestImportRefusesInvalid(t *testing.T) {
	w, _ := open(t)
	ids := numbered(2*page + 10)
	ids[page+3], ids[page+7] = "a/b", strings.Repeat("x", 65)
	got, err := w.Import(t.Context(), app, entries(ids...), false, nil)
	want := Imported{Read: len(ids), Invalid: 2, Examples: []Invalid{
		{Line: page + 4, ID: `"a/b"`, Reason: `illegal character '/' at byte 1`},
		{Line: page + 8, ID: `"` + strings.Repeat("x", 65) + `"`, Reason: `65 bytes, the most is 64`},
	}}
	if diff := cmp.Diff(want, got); diff != "" || !errors.Is(err, presence.ErrUserID) {
		t.Errorf("Import = %v, want ErrUserID (-want +got):\n%s", err, diff)
	}
	if n, err := w.Count(t.Context(), app); n != 0 || err != nil {
		t.Errorf("after a refused Import Count = %d, %v, want 0", n, err)
	}

	got, err = w.Import(t.Context(), app, entries(ids...), true, nil)
	want.Added = len(ids) - 2
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("Import skipping the invalid = %v (-want +got):\n%s", err, diff)
	}
	if n, err := w.Count(t.Context(), app); n != want.Added || err != nil {
		t.Errorf("after it Count = %d, %v, want %d", n, err, want.Added)
	}
}

func TestImportIsAllOrNothing(t *testing.T) {
	w, _ := open(t)
	broken := errors.New("the file broke")
	source := func(yield func(Entry, error) bool) {
		for e := range entries(numbered(page + 1)...) {
			yield(e, nil)
		}
		yield(Entry{}, broken)
	}
	got, err := w.Import(t.Context(), app, source, true, nil)
	if !errors.Is(err, broken) || got.Added != 0 {
		t.Errorf("Import of a broken source = %+v, %v, want none added and %v", got, err, broken)
	}
	if n, err := w.Count(t.Context(), app); n != 0 || err != nil {
		t.Errorf("after it Count = %d, %v, want 0", n, err)
	}
}

func TestImportTellsProgress(t *testing.T) {
	w, _ := open(t)
	var got []Imported
	_, err := w.Import(t.Context(), app, entries(numbered(2*page+1)...), false, func(i Imported) { got = append(got, i) })
	want := []Imported{{Read: page, Added: page}, {Read: 2 * page, Added: 2 * page}, {Read: 2*page + 1, Added: 2*page + 1}}
	if err != nil || !cmp.Equal(got, want) {
		t.Errorf("Import = %v, progress %+v, want %+v", err, got, want)
	}
}

// Memory stays the same however long the source is.
func TestImportAndExportInBoundedMemory(t *testing.T) {
	w, _ := open(t)
	const n = 200_000
	var most uint64
	watch := func() {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		most = max(most, m.HeapAlloc)
	}
	watch()
	before := most
	in, out := newNumbers(n), &counter{}
	got, err := w.Import(t.Context(), app, Read(in, Lines, ""), false, func(i Imported) {
		if i.Read%(10*page) == 0 {
			watch()
		}
	})
	if want := (Imported{Read: n, Added: n}); err != nil || !cmp.Equal(got, want) {
		t.Errorf("Import = %+v, %v, want %+v", got, err, want)
	}
	exported, err := w.Export(t.Context(), app, out, Lines, func(e Exported) {
		if e.Written%(10*page) == 0 {
			watch()
		}
	})
	if exported.Written != n || err != nil || out.lines != n {
		t.Errorf("Export = %+v, %v, %d lines, want %d", exported, err, out.lines, n)
	}
	// A page of ids with all that is made of it is about 1 MB; the ids together would be 8 MB.
	if grown := most - before; grown > 6<<20 {
		t.Errorf("the heap grew by %d bytes, want less than 6 MiB", grown)
	}
}

func BenchmarkImport(b *testing.B) {
	w, pool := open(b)
	const n = 200_000
	for b.Loop() {
		exec(b, pool, `truncate watched_users`)
		if _, err := w.Import(b.Context(), app, Read(newNumbers(n), Lines, ""), false, nil); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
}
