package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/zim-presence/poller/internal/local/localtest"
	"github.com/zim-presence/poller/internal/watchlist"
	"github.com/zim-presence/poller/migrations"
)

// awkwardIDs are legal, and break what is careless with subjects, quotes, patterns, widths or flags.
var awkwardIDs = []string{"a.b", "x>y", "two words", " leading", "=2E", "100%", "a_b", "--app", "0123456789abcdef0123456789abcdef"}

// watchBench runs poller watch against a database of its own, with app 7 configured.
type watchBench struct {
	dsn     string
	environ []string
}

func newWatchBench(t testing.TB) watchBench {
	dsn := localtest.Postgres(t)
	return watchBench{dsn, []string{"POLLER_DATABASE_URL=" + dsn, "POLLER_ZIM_APP_ID=7"}}
}

// run runs one command as main would, and returns its exit code and what it wrote.
func (b watchBench) run(ctx context.Context, stdin io.Reader, args ...string) (code int, stdout, stderr string) {
	var out, errOut bytes.Buffer
	var cli struct {
		globals
		Watch watchCmd `cmd:""`
	}
	cli.Stdout, cli.Stderr, cli.Environ = &out, &errOut, b.environ
	cli.Watch.Import.Stdin = stdin
	parser, err := kong.New(&cli, kong.BindTo(ctx, (*context.Context)(nil)))
	if err != nil {
		panic(err)
	}
	parsed, err := parser.Parse(append([]string{"watch"}, args...))
	if err == nil {
		err = parsed.Run(&cli.globals)
	} else {
		err = usageError{err}
	}
	var exit kong.ExitCoder
	switch {
	case errors.As(err, &exit):
		code = exit.ExitCode()
	case err != nil:
		code = 1
	}
	if err != nil {
		fmt.Fprintln(&errOut, err)
	}
	return code, out.String(), errOut.String()
}

// want runs a command that must do well and say this.
func (b watchBench) want(t *testing.T, stdout string, args ...string) {
	t.Helper()
	code, got, stderr := b.run(t.Context(), nil, args...)
	if code != 0 || got != stdout {
		t.Errorf("watch %q: exit code %d, stdout %q, stderr %q, want 0 and %q", args, code, got, stderr, stdout)
	}
}

// wantError runs a command that must end with the exit code and with words like these.
func (b watchBench) wantError(t *testing.T, code int, words string, args ...string) {
	t.Helper()
	got, stdout, stderr := b.run(t.Context(), nil, args...)
	if got != code || !strings.Contains(stderr, words) || stdout != "" {
		t.Errorf("watch %q: exit code %d, stdout %q, stderr %q, want %d and %q", args, got, stdout, stderr, code, words)
	}
}

// ids is what the table has, in order.
func (b watchBench) ids(t *testing.T, app uint32) []string {
	t.Helper()
	var ids []string
	b.query(t, `select coalesce(array_agg(user_id order by user_id), '{}') from watched_users where app_id = $1`, []any{app}, &ids)
	return ids
}

func (b watchBench) query(t *testing.T, sql string, args []any, into ...any) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), b.dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.WithoutCancel(t.Context()))
	if err := conn.QueryRow(t.Context(), sql, args...).Scan(into...); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

// put writes an id as another program does: past every check.
func (b watchBench) put(t *testing.T, app uint32, id string) {
	t.Helper()
	if _, err := migrations.Up(t.Context(), b.dsn); err != nil {
		t.Fatal(err)
	}
	var n int
	b.query(t, `with w as (insert into watched_users (app_id, user_id) values ($1, $2) returning 1) select count(*) from w`, []any{app, id}, &n)
}

func TestWatchAddRemoveCount(t *testing.T) {
	b := newWatchBench(t)
	b.want(t, "0\n", "count")
	b.want(t, "added 9 of 9\n", append([]string{"add", "--"}, awkwardIDs...)...)
	b.want(t, "added 1 of 2\n", "add", "a.b", "new")
	b.want(t, "10\n", "count")
	b.want(t, "{\n  \"app_id\": 7,\n  \"users\": 10,\n  \"long\": 0,\n  \"invalid\": 0\n}\n", "count", "-o", "json")
	if want := slices.Sorted(slices.Values(append([]string{"new"}, awkwardIDs...))); !slices.Equal(b.ids(t, 7), want) {
		t.Errorf("the table has %q, want %q", b.ids(t, 7), want)
	}
	b.want(t, "removed 9 of 10\n", append([]string{"remove", "--", "nobody"}, awkwardIDs...)...)
	b.want(t, "1\n", "count")

	b.put(t, 7, "a/b")
	b.want(t, "removed 1 of 1\n", "remove", "a/b")
	b.wantError(t, 2, "\"a/b\": illegal character '/' at byte 1\n1 of 2 are no valid user ids; nobody was added", "add", "good", "a/b")
	b.wantError(t, 2, "<id>", "add")
	b.want(t, "1\n", "count")
}

func TestWatchSpeaksOfLongAndInvalidIDs(t *testing.T) {
	b := newWatchBench(t)
	b.put(t, 7, "")
	_, _, stderr := b.run(t.Context(), nil, "add", strings.Repeat("x", 33))
	if want := "warning: ids over 32 bytes: 1"; !strings.Contains(stderr, want) {
		t.Errorf("watch add of a long id: stderr %q, want %q", stderr, want)
	}
	_, stdout, stderr := b.run(t.Context(), nil, "count")
	if stdout != "1\n" || !strings.Contains(stderr, "over 32 bytes: 1") || !strings.Contains(stderr, "never asked about: 1") {
		t.Errorf("watch count: stdout %q, stderr %q, want 1 and both warnings", stdout, stderr)
	}
}

func TestWatchChoosesTheApp(t *testing.T) {
	b := newWatchBench(t)
	b.wantError(t, 2, "app 8 is not configured", "count", "--app", "8")
	b.want(t, "added 1 of 1\n", "add", "--app", "7", "a")

	b.environ = []string{"POLLER_CONFIG=" + writeFile(t, "p.yaml", fmt.Sprintf("database: {url: %q}\napps: [{app_id: 7}, {app_id: 8}]\n", b.dsn))}
	b.wantError(t, 2, "choose one with --app", "count")
	b.want(t, "added 1 of 1\n", "add", "--app=8", "b")
	if got := b.ids(t, 7); !slices.Equal(got, []string{"a"}) {
		t.Errorf("app 7 has %q, want a", got)
	}
	if got := b.ids(t, 8); !slices.Equal(got, []string{"b"}) {
		t.Errorf("app 8 has %q, want b", got)
	}

	b.environ = []string{"POLLER_DATABASE_URL=" + b.dsn}
	b.wantError(t, 2, "no app is configured", "count")
	b.want(t, "1\n", "count", "--app", "8")
}

func TestWatchImport(t *testing.T) {
	b := newWatchBench(t)
	awkward := strings.Join(awkwardIDs, "\n")
	tests := []struct {
		name, file, text string
		args             []string
		want             []string
	}{
		{"lines", "ids.txt", awkward, nil, awkwardIDs},
		{"windows lines", "ids", "\uFEFFa b\r\n\r\nc\r\n", nil, []string{"a b", "c"}},
		{"csv by name", "ids.csv", "name,user_id\n\"Smith, J.\",\"a b\"\n\"say \"\"hi\"\"\",x>y\n", nil, []string{"a b", "x>y"}},
		{"csv by flag and column", "ids.txt", "who,user_id\na,1\nb,2\n", []string{"--format", "csv", "--column", "who"}, []string{"a", "b"}},
		{"lines by flag", "lines.csv", "a\nb\n", []string{"--format=lines"}, []string{"a", "b"}},
		{"twice in it", "ids", "a\nb\na\n", nil, []string{"a", "b"}},
		{"empty", "ids", "", nil, []string{}},
	}
	for i, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := b
			b.environ = []string{"POLLER_DATABASE_URL=" + b.dsn}
			app := fmt.Sprint(100 + i)
			args := append([]string{"import", "--app", app, writeFile(t, tt.file, tt.text)}, tt.args...)
			warning := ""
			if slices.Contains(tt.want, " leading") {
				warning = "warning: ids that begin or end with a space: 1, taken as they are; the first is \" leading\" in line 4\n"
			}
			for _, added := range []int{len(tt.want), 0} {
				code, stdout, stderr := b.run(t.Context(), nil, args...)
				if words := fmt.Sprintf("added %d,", added); code != 0 || !strings.Contains(stdout, words) || stderr != warning {
					t.Errorf("watch %q: exit code %d, stdout %q, stderr %q, want 0, %q and %q", args, code, stdout, stderr, words, warning)
				}
			}
			if diff := cmp.Diff(slices.Sorted(slices.Values(tt.want)), b.ids(t, uint32(100+i)), cmp.Transformer("none", func(s []string) []string { return append([]string{}, s...) })); diff != "" {
				t.Errorf("after watch import (-want +got):\n%s", diff)
			}
		})
	}
}

func TestWatchImportOfStdin(t *testing.T) {
	b := newWatchBench(t)
	for i, args := range [][]string{{"import"}, {"import", "-"}} {
		code, stdout, stderr := b.run(t.Context(), strings.NewReader(fmt.Sprintf("a%d\nb%d", i, i)), args...)
		if want := "read 2, added 2, already watched 0, invalid 0\n"; code != 0 || stdout != want {
			t.Errorf("watch %q: exit code %d, stdout %q, stderr %q, want 0 and %q", args, code, stdout, stderr, want)
		}
	}
	code, stdout, stderr := b.run(t.Context(), strings.NewReader("x\n\"c\"\n"), "import", "--format", "csv")
	if code != 0 || !slices.Equal(b.ids(t, 7), []string{"a0", "a1", "b0", "b1", "c", "x"}) {
		t.Errorf("watch import of csv: exit code %d, stdout %q, stderr %q, table %q", code, stdout, stderr, b.ids(t, 7))
	}
}

func TestWatchImportRefusesInvalid(t *testing.T) {
	b := newWatchBench(t)
	text := "good\n\na/b\n" + strings.Repeat("x", 65) + "\n"
	code, stdout, stderr := b.run(t.Context(), strings.NewReader(text), "import")
	want := "line 3: \"a/b\": illegal character '/' at byte 1\nline 4: \"" + strings.Repeat("x", 65) + "\": 65 bytes, the most is 64\n" +
		"2 of 3 are no valid user ids; nobody was added (--skip-invalid leaves them out)\n"
	if code != 2 || stdout != "" || stderr != want {
		t.Errorf("watch import: exit code %d, stdout %q, stderr %q, want 2 and %q", code, stdout, stderr, want)
	}
	b.want(t, "0\n", "count")

	code, stdout, _ = b.run(t.Context(), strings.NewReader(text), "import", "--skip-invalid")
	if want := "read 3, added 1, already watched 0, invalid 2\n"; code != 0 || stdout != want {
		t.Errorf("watch import --skip-invalid: exit code %d, stdout %q, want 0 and %q", code, stdout, want)
	}

	code, _, stderr = b.run(t.Context(), strings.NewReader(strings.Repeat("/\n", 100)), "import")
	if code != 2 || !strings.Contains(stderr, "line 20: ") || !strings.Contains(stderr, "and 80 more\n") {
		t.Errorf("watch import of 100 invalid: exit code %d, stderr %q, want 2, twenty lines and 80 more", code, stderr)
	}
}

func TestWatchImportUsage(t *testing.T) {
	b := newWatchBench(t)
	csv := writeFile(t, "a.csv", "user_id,n\na,1\n")
	b.wantError(t, 2, "no such file", "import", filepath.Join(t.TempDir(), "none"))
	b.wantError(t, 2, "is a directory", "import", t.TempDir())
	b.wantError(t, 2, `no column "id"`, "import", csv, "--column", "id")
	b.wantError(t, 2, "line 2", "import", writeFile(t, "b.csv", "a,1\nb\n"))
	b.wantError(t, 2, "--column is for csv", "import", "--column", "id", "x.txt")
	b.wantError(t, 2, "--format", "import", "--format", "xml", csv)
	b.wantError(t, 2, "no such file", "export", filepath.Join(t.TempDir(), "none", "file"))
	b.want(t, "0\n", "count")
}

// A stop reaches an import that waits for its input, and leaves nothing behind.
func TestWatchImportStopped(t *testing.T) {
	b := newWatchBench(t)
	b.want(t, "0\n", "count")
	in, feed, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	defer feed.Close()
	if _, err := feed.WriteString("a\nb\n"); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	type end struct {
		code   int
		stderr string
	}
	done := make(chan end, 1)
	go func() {
		code, _, stderr := b.run(ctx, in, "import")
		done <- end{code, stderr}
	}()
	for busy := false; !busy; {
		b.query(t, `select exists (select from pg_stat_activity where datname = current_database() and state = 'idle in transaction')`, nil, &busy)
	}
	cancel()
	if got := <-done; got.code != 1 || !strings.Contains(got.stderr, "stopped, nobody was added") {
		t.Errorf("stopped watch import: %+v, want 1 and words about it", got)
	}
	b.want(t, "0\n", "count")
}

func TestWatchExport(t *testing.T) {
	for _, file := range []string{"ids.txt", "ids.csv"} {
		b := newWatchBench(t)
		b.want(t, "added 9 of 9\n", append([]string{"add", "--"}, awkwardIDs...)...)
		b.put(t, 7, "a/b")
		path := writeFile(t, file, "old")
		code, stdout, stderr := b.run(t.Context(), nil, "export", path)
		if code != 0 || stdout != "" || !strings.Contains(stderr, "exported 9\nwarning: left out 1 invalid") {
			t.Errorf("watch export %s: exit code %d, stdout %q, stderr %q, want 0 and both lines", file, code, stdout, stderr)
		}
		code, stdout, _ = b.run(t.Context(), nil, "export", "--format", string(watchlist.FormatOf(file)))
		if got, err := os.ReadFile(path); code != 0 || stdout != string(got) || err != nil {
			t.Errorf("watch export: %q, want what %s has: %q, %v", stdout, file, got, err)
		}
		b.want(t, "removed 10 of 10\n", append([]string{"remove", "--", "a/b"}, awkwardIDs...)...)
		b.want(t, "read 9, added 9, already watched 0, invalid 0\n", "import", path)
		if want := slices.Sorted(slices.Values(awkwardIDs)); !slices.Equal(b.ids(t, 7), want) {
			t.Errorf("export and import of %s: %q, want %q", file, b.ids(t, 7), want)
		}
	}
}

// The file stays as it was when the export breaks.
func TestReplaceFile(t *testing.T) {
	path := writeFile(t, "ids", "old")
	broken := errors.New("broken")
	err := replaceFile(path, func(w io.Writer) error {
		fmt.Fprint(w, "half")
		return broken
	})
	got, _ := os.ReadFile(path)
	if !errors.Is(err, broken) || string(got) != "old" {
		t.Errorf("replaceFile that breaks = %v, leaves %q, want %v and old", err, got, broken)
	}
	if left, _ := filepath.Glob(path + ".*"); len(left) > 0 {
		t.Errorf("replaceFile that breaks leaves %q, want nothing", left)
	}
	if err := replaceFile(os.DevNull, func(w io.Writer) error { _, err := fmt.Fprint(w, "x"); return err }); err != nil {
		t.Errorf("replaceFile of a device = %v, want nil", err)
	}
	if info, err := os.Stat(os.DevNull); err != nil || info.Mode().IsRegular() {
		t.Errorf("the device is a file now")
	}
}

func TestWatchList(t *testing.T) {
	b := newWatchBench(t)
	b.want(t, "[\n]\n", "list", "-o", "json")
	b.want(t, "added 3 of 3\n", "add", "b", "x>y", "two words")
	b.put(t, 7, "a/b")
	b.put(t, 7, "new\nline")
	var n int
	b.query(t, `with s as (insert into user_states (app_id, user_no, user_id, status, detail, since)
		values (7, 1, 'b', 'offline', 'timeout', '2026-11-22T18:43:36.120114Z') returning 1) select count(*) from s`, nil, &n)

	type row struct {
		UserID  string  `json:"user_id"`
		Status  string  `json:"status"`
		Detail  string  `json:"detail"`
		Since   *string `json:"since"`
		Invalid string  `json:"invalid"`
	}
	list := func(args ...string) (rows []row, stderr string) {
		t.Helper()
		code, stdout, stderr := b.run(t.Context(), nil, append([]string{"list", "-o", "json"}, args...)...)
		if err := json.Unmarshal([]byte(stdout), &rows); err != nil || code != 0 {
			t.Errorf("watch list %q: exit code %d, %v in %q", args, code, err, stdout)
		}
		return rows, stderr
	}
	since := "2026-11-22T18:43:36.120114Z"
	all := []row{
		{"a/b", "unknown", "", nil, "illegal character '/' at byte 1"},
		{"b", "offline", "timeout", &since, ""},
		{"new\nline", "unknown", "", nil, `illegal character '\n' at byte 3`},
		{"two words", "unknown", "", nil, ""},
		{"x>y", "unknown", "", nil, ""},
	}
	for _, tt := range []struct {
		args []string
		want []row
		more bool
	}{
		{nil, all, false},
		{[]string{"--limit", "0"}, all, false},
		{[]string{"--limit", "5"}, all, false},
		{[]string{"--limit", "4"}, all[:4], true},
		{[]string{"--invalid"}, []row{all[0], all[2]}, false},
		{[]string{"--invalid", "--limit", "1"}, all[:1], true},
	} {
		got, stderr := list(tt.args...)
		if diff := cmp.Diff(tt.want, got); diff != "" || strings.Contains(stderr, "there are more") != tt.more {
			t.Errorf("watch list %q: stderr %q, more is %v (-want +got):\n%s", tt.args, stderr, tt.more, diff)
		}
	}

	_, stdout, _ := b.run(t.Context(), nil, "list")
	for _, want := range []string{"USER   ", `"new\nline"`, "invalid: illegal character '/' at byte 1", "offline (timeout)", "2026-11-22T18:43:36Z", "\ntwo words  "} {
		if !strings.Contains(stdout, want) {
			t.Errorf("watch list: %s\nwant %q in it", stdout, want)
		}
	}
	b.wantError(t, 2, "--limit", "list", "--limit=-1")

	b.want(t, "added 2 of 2\n", "add", "  u3  ", "u4 ")
	_, stdout, _ = b.run(t.Context(), nil, "list")
	for _, want := range []string{"\n\"  u3  \"  ", "\n\"u4 \"  ", "\ntwo words  "} {
		if !strings.Contains(stdout, want) {
			t.Errorf("watch list: %s\nwant %q in it", stdout, want)
		}
	}
}

func TestWatchWithoutDatabase(t *testing.T) {
	b := newWatchBench(t)
	b.environ[0] = "POLLER_DATABASE_URL=postgres://u:hunter2@127.0.0.1:1/none"
	code, _, stderr := b.run(t.Context(), nil, "count")
	if code != 1 || !strings.Contains(stderr, "database: ") || strings.Contains(stderr, "hunter2") {
		t.Errorf("watch count without a database: exit code %d, stderr %q, want 1 and no password", code, stderr)
	}
}
