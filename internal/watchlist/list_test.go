package watchlist

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// numbers is a file of n lines that is never in memory.
type numbers struct {
	next, n int
	rest    string
}

func newNumbers(n int) *numbers { return &numbers{n: n} }

func (r *numbers) Read(p []byte) (int, error) {
	if r.rest == "" {
		if r.next == r.n {
			return 0, io.EOF
		}
		r.rest = fmt.Sprintf("a-user-with-a-usual-id-%09d\n", r.next)
		r.next++
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}

// counter counts the lines that are written to it.
type counter struct{ lines int }

func (c *counter) Write(p []byte) (int, error) {
	c.lines += bytes.Count(p, []byte("\n"))
	return len(p), nil
}

func list(t *testing.T, w *Watchlist) []Row {
	t.Helper()
	var rows []Row
	for row, err := range w.List(t.Context(), app) {
		if err != nil {
			t.Fatal(err)
		}
		rows = append(rows, row)
	}
	return rows
}

func TestList(t *testing.T) {
	w, pool := open(t)
	put(t, pool, app, "b", "a.b", "", "x/y")
	put(t, pool, app+1, "another's")
	since := time.Date(2026, 11, 22, 18, 43, 36, 120114000, time.UTC)
	exec(t, pool, `insert into user_states (app_id, user_no, user_id, status, detail, since) values ($1, 1, 'b', 'offline', 'timeout', $2)`, int64(app), since)
	want := []Row{
		{UserID: "", Status: "unknown", Invalid: "empty"},
		{UserID: "a.b", Status: "unknown"},
		{UserID: "b", Status: "offline", Detail: "timeout", Since: &since},
		{UserID: "x/y", Status: "unknown", Invalid: `illegal character '/' at byte 1`},
	}
	got := list(t, w)
	if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(Row{}, "AddedAt"), cmpopts.EquateApproxTime(0)); diff != "" {
		t.Errorf("List (-want +got):\n%s", diff)
	}
	for _, row := range got {
		if row.AddedAt.IsZero() {
			t.Errorf("List: %q has no added_at", row.UserID)
		}
	}
}

func TestListOfManyPages(t *testing.T) {
	for _, n := range []int{0, 1, page - 1, page, page + 1, 2*page - 1, 2 * page, 2*page + 3} {
		w, pool := open(t)
		want := numbered(n)
		put(t, pool, app, want...)
		var got []string
		for _, row := range list(t, w) {
			got = append(got, row.UserID)
		}
		if !slices.Equal(got, want) {
			t.Errorf("List of %d rows yields %d, or another order", n, len(got))
		}
	}
}

// What is removed where one page ends and the next begins takes nobody else with it.
func TestListWhileRowsGo(t *testing.T) {
	w, pool := open(t)
	ids := numbered(2*page + 10)
	put(t, pool, app, ids...)
	var got []string
	for row, err := range w.List(t.Context(), app) {
		if err != nil {
			t.Fatal(err)
		}
		if got = append(got, row.UserID); len(got) == page {
			exec(t, pool, `delete from watched_users where user_id = $1`, ids[page-1])
		}
	}
	if !slices.Equal(got, ids) {
		t.Errorf("List yields %d rows, want all %d", len(got), len(ids))
	}
}

func TestExportRoundTrip(t *testing.T) {
	for _, format := range []Format{Lines, CSV} {
		t.Run(string(format), func(t *testing.T) {
			w, pool := open(t)
			put(t, pool, app, append(awkward, illegal...)...)
			var file bytes.Buffer
			got, err := w.Export(t.Context(), app, &file, format, nil)
			if want := (Exported{Written: len(awkward), Invalid: len(illegal)}); got != want || err != nil {
				t.Errorf("Export = %+v, %v, want %+v", got, err, want)
			}
			exec(t, pool, `delete from watched_users`)
			if _, err := w.Import(t.Context(), app, Read(&file, format, ""), false, nil); err != nil {
				t.Fatal(err)
			}
			ids, _ := read(t, w, app)
			slices.Sort(ids)
			if diff := cmp.Diff(slices.Sorted(slices.Values(awkward)), ids); diff != "" {
				t.Errorf("Export and Import (-want +got):\n%s", diff)
			}
		})
	}
}

type fullDisk struct{ err error }

func (d fullDisk) Write([]byte) (int, error) { return 0, d.err }

func TestExportToFullDisk(t *testing.T) {
	w, pool := open(t)
	put(t, pool, app, "a")
	full := errors.New("no space left")
	if _, err := w.Export(t.Context(), app, fullDisk{full}, Lines, nil); !errors.Is(err, full) {
		t.Errorf("Export to a full disk = %v, want %v", err, full)
	}
}

func TestAddAndRemove(t *testing.T) {
	w, pool := open(t)
	step := func(what string, got int, err error, want int) {
		t.Helper()
		if got != want || err != nil {
			t.Errorf("%s = %d, %v, want %d", what, got, err, want)
		}
	}
	n, err := w.Add(t.Context(), app, append(slices.Clone(awkward), awkward[0]))
	step("Add", n, err, len(awkward))
	n, err = w.Add(t.Context(), app, awkward)
	step("second Add", n, err, 0)
	n, err = w.Add(t.Context(), app, numbered(2*page+1))
	step("Add of many", n, err, 2*page+1)
	n, err = w.Remove(t.Context(), app, numbered(2*page+1))
	step("Remove of many", n, err, 2*page+1)
	n, err = w.Remove(t.Context(), app+1, awkward)
	step("Remove from another app", n, err, 0)
	put(t, pool, app, illegal...)
	n, err = w.Remove(t.Context(), app, append(illegal, "nobody", "a_b_"))
	step("Remove of the illegal", n, err, len(illegal))
	n, err = w.Remove(t.Context(), app, append(awkward, awkward[0]))
	step("Remove", n, err, len(awkward))
	n, err = w.Add(t.Context(), app, nil)
	step("Add of nobody", n, err, 0)
}

func TestAddRefusesInvalid(t *testing.T) {
	w, _ := open(t)
	for _, id := range illegal {
		n, err := w.Add(t.Context(), app, []string{"good", id})
		if n != 0 || err == nil || !strings.Contains(err.Error(), quote(id)) {
			t.Errorf("Add(good, %q) = %d, %v, want an error that names it", id, n, err)
		}
	}
	if n, err := w.Count(t.Context(), app); n != 0 || err != nil {
		t.Errorf("afterwards Count = %d, %v, want 0", n, err)
	}
}
