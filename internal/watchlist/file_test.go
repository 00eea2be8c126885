package watchlist

import (
	"bytes"
	"encoding/csv"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
)

func collect(r io.Reader, format Format, column string) (got []Entry, err error) {
	for e, err := range Read(r, format, column) {
		if err != nil {
			return got, err
		}
		got = append(got, e)
	}
	return got, nil
}

func TestRead(t *testing.T) {
	long := strings.Repeat("x", 100_000)
	tests := []struct {
		name   string
		format Format
		column string
		file   string
		want   []Entry
	}{
		{"empty", Lines, "", "", nil},
		{"lines", Lines, "", "a\nb\n", []Entry{{1, "a"}, {2, "b"}}},
		{"no end of the last line", Lines, "", "a\nb", []Entry{{1, "a"}, {2, "b"}}},
		{"crlf", Lines, "", "a\r\nb\r\n", []Entry{{1, "a"}, {2, "b"}}},
		{"one carriage return is cut", Lines, "", "a\r\r\nb\r", []Entry{{1, "a\r"}, {2, "b"}}},
		{"byte order mark", Lines, "", "\uFEFFa\n", []Entry{{1, "a"}}},
		{"half a byte order mark", Lines, "", "\xEF\xBB", []Entry{{1, "\xEF\xBB"}}},
		{"mark in the middle stays", Lines, "", "a\n\uFEFFb", []Entry{{1, "a"}, {2, "\uFEFFb"}}},
		{"empty lines", Lines, "", "\n\na\n\r\n\nb\n\n", []Entry{{3, "a"}, {6, "b"}}},
		{"spaces are kept", Lines, "", " a b \n \n", []Entry{{1, " a b "}, {2, " "}}},
		{"csv is nothing special in lines", Lines, "", "\"a\",b\n", []Entry{{1, `"a",b`}}},
		{"long line", Lines, "", long + "\nb\n", []Entry{{1, long[:mostLine]}, {2, "b"}}},
		{"zero format", "", "", "a\n", []Entry{{1, "a"}}},

		{"empty csv", CSV, "", "", nil},
		{"csv without header", CSV, "", "a,x\nb,y\n", []Entry{{1, "a"}, {2, "b"}}},
		{"header", CSV, "", "name,user_id\nx,a\ny,b\n", []Entry{{2, "a"}, {3, "b"}}},
		{"header with mark, crlf, another case", CSV, "", "\uFEFF\"User_ID\",name\r\na,x\r\n", []Entry{{2, "a"}}},
		{"header alone", CSV, "", "user_id\n", nil},
		{"column", CSV, "name", "user_id,name\na,x\n", []Entry{{2, "x"}}},
		{"quotes", CSV, "", "\"a b\",\"say \"\"x\"\"\"\n\" c\",\n", []Entry{{1, "a b"}, {2, " c"}}},
		{"line break in another field", CSV, "", "\"1\n2\",x\nb,y\n", []Entry{{1, "1\n2"}, {3, "b"}}},
		{"line of the field", CSV, "id", "note,id\n\"1\n2\",a\n3,b\n", []Entry{{3, "a"}, {4, "b"}}},
		{"empty field", CSV, "", "user_id,n\n,1\n", []Entry{{2, ""}}},
		{"empty csv lines", CSV, "", "\n\na\n\nb\n", []Entry{{3, "a"}, {5, "b"}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for name, r := range map[string]io.Reader{"whole": strings.NewReader(tt.file), "byte by byte": iotest.OneByteReader(strings.NewReader(tt.file))} {
				got, err := collect(r, tt.format, tt.column)
				if diff := cmp.Diff(tt.want, got); diff != "" || err != nil {
					t.Errorf("Read(%.60q) %s: %v (-want +got):\n%s", tt.file, name, err, diff)
				}
			}
		})
	}
}

func TestReadErrors(t *testing.T) {
	tests := []struct {
		name   string
		column string
		file   string
		want   string
	}{
		{"no such column", "id", "user_id,name\na,b\n", `no column "id" in the header ["user_id" "name"]`},
		{"stray quote", "", "a\nb\"c\n", "line 2"},
		{"open quote", "", "a\n\"b\n", "line"},
		{"other number of fields", "", "a,1\nb\n", "line 2"},
		{"endless quote", "", "a\n\"" + strings.Repeat("b\n", mostRecord), "a quote may be missing"},
	}
	for _, tt := range tests {
		_, err := collect(strings.NewReader(tt.file), CSV, tt.column)
		if !errors.Is(err, ErrFile) || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: Read = %v, want ErrFile with %s", tt.name, err, tt.want)
		}
	}
}

// The bound is on one record, not on the file.
func TestReadLongCSV(t *testing.T) {
	got, err := collect(strings.NewReader(strings.Repeat("some-user,some-name\n", mostRecord/10)), CSV, "")
	if err != nil || len(got) != mostRecord/10 {
		t.Errorf("Read of a csv of 2 MiB = %d entries, %v, want %d", len(got), err, mostRecord/10)
	}
}

func TestReadBrokenFile(t *testing.T) {
	for _, format := range []Format{Lines, CSV} {
		broken := io.MultiReader(strings.NewReader("a\nhal"), iotest.ErrReader(io.ErrUnexpectedEOF))
		got, err := collect(broken, format, "")
		if !errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, ErrFile) || !slices.Equal(got, []Entry{{1, "a"}}) {
			t.Errorf("Read of a broken file as %s = %v, %v, want a and the error", format, got, err)
		}
	}
}

func TestFormatOf(t *testing.T) {
	for name, want := range map[string]Format{"": Lines, "-": Lines, "ids": Lines, "ids.txt": Lines, "ids.csv": CSV, "IDS.CSV": CSV, "csv": Lines, "a.csv/ids": Lines} {
		if got := FormatOf(name); got != want {
			t.Errorf("FormatOf(%q) = %s, want %s", name, got, want)
		}
	}
}

// What is written as lines is read back, whatever the ids, as long as a line can hold them.
func FuzzReadLines(f *testing.F) {
	f.Add("a\nb", false)
	f.Add("a.b\nx>y\ntwo words\n=2E\n100%", true)
	f.Add("\n\n\r", true)
	f.Add("\xEF\xBB\xBFa\n\x00\n\xff", false)
	f.Fuzz(func(t *testing.T, text string, crlf bool) {
		end := "\n"
		if crlf {
			end = "\r\n"
		}
		var want []Entry
		for i, id := range strings.Split(text, "\n") {
			if len(id) > mostLine || strings.HasSuffix(id, "\r") && !crlf || i == 0 && strings.HasPrefix(id, "\uFEFF") {
				return
			}
			if id != "" {
				want = append(want, Entry{i + 1, id})
			}
		}
		got, err := collect(strings.NewReader(strings.ReplaceAll(text, "\n", end)+end), Lines, "")
		if !slices.Equal(got, want) || err != nil {
			t.Errorf("Read of the lines of %q = %v, %v, want %v", text, got, err, want)
		}
	})
}

// Any csv that encoding/csv writes is read back, and no input breaks the reader.
func FuzzReadCSV(f *testing.F) {
	f.Add("a", "b", "a,b\n\"c\"\n")
	f.Add("two words", "=2E", "user_id\r\n\"a\nb\"\r\n")
	f.Add("a\"b", ",", "\"")
	f.Add("", "\n", "\uFEFFuser_id;name\nx;y\n")
	f.Fuzz(func(t *testing.T, one, two, file string) {
		for e, err := range Read(strings.NewReader(file), CSV, "") {
			if err == nil && e.Line < 1 {
				t.Errorf("Read(%q): entry %+v without a line", file, e)
			}
		}
		var buf bytes.Buffer
		w := csv.NewWriter(&buf)
		if err := w.WriteAll([][]string{{"n", "user_id"}, {"1", one}, {"2", two}}); err != nil {
			t.Fatal(err)
		}
		got, err := collect(&buf, CSV, "")
		want := []string{strings.ReplaceAll(one, "\r\n", "\n"), strings.ReplaceAll(two, "\r\n", "\n")}
		if err != nil || len(got) != 2 || got[0].ID != want[0] || got[1].ID != want[1] {
			t.Errorf("Read of csv with %q and %q = %v, %v", one, two, got, err)
		}
	})
}
