package poller_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/zim-presence/poller/internal/local/localtest"
	"github.com/zim-presence/poller/internal/zimsim"
	"github.com/zim-presence/poller/migrations"
	"github.com/zim-presence/poller/presence"
)

// runPages are the pages whose commands are all run, in this order: the last one
// erases what the others look at.
func runPages() []string { return []string{"docs/replay.md", "docs/consuming.md", "docs/erasure.md"} }

const (
	shownApp    = 1234567890
	shownSecret = "0123456789abcdef0123456789abcdef"
	shownUsers  = 40
)

// shown is what a reader of the pages has: the program, a daemon that has run for a
// while, and the variables of its configuration.
type shown struct {
	dir       string // in which the reader sits
	env       []string
	dsn, nats string
	from, now time.Time // what has been recorded
}

// Every command that these pages show runs, one after the other in one shell, and
// prints what is shown, but for the figures.
func TestDocsRun(t *testing.T) {
	w := newShown(t)
	w.start(t)
	w.record(t)
	all := pages(t)
	for _, file := range runPages() {
		i := slices.IndexFunc(all, func(p page) bool { return p.file == file })
		if i < 0 {
			t.Errorf("there is no page %s", file)
			continue
		}
		t.Run(file, func(t *testing.T) {
			w.run(t, all[i])
			if file == "docs/replay.md" {
				w.readReplay(t, all[i])
			}
		})
	}
}

func newShown(t *testing.T) *shown {
	t.Helper()
	w := &shown{dir: t.TempDir(), dsn: localtest.Postgres(t), nats: localtest.NATS(t).URL()}
	goBuild(t, filepath.Join(w.dir, "bin", "poller"), "./cmd/poller")
	if err := os.CopyFS(filepath.Join(w.dir, "examples"), os.DirFS("examples")); err != nil {
		t.Fatal(err)
	}
	if _, err := migrations.Up(t.Context(), w.dsn); err != nil {
		t.Fatal(err)
	}
	sim := zimsim.New(zimsim.Config{Seed: 1, Apps: []zimsim.AppConfig{{ID: shownApp, Secret: shownSecret, Living: &zimsim.Living{
		Users: shownUsers, Speed: 1000, Hour: 15,
	}}}})
	if err := sim.Start(t.Context(), "127.0.0.1:0", ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(sim.Close)
	strange := func(variable string) bool { return strings.HasPrefix(variable, "POLLER_") }
	w.env = append(slices.DeleteFunc(os.Environ(), strange),
		"PATH="+filepath.Join(w.dir, "bin")+":"+os.Getenv("PATH"), "GORACE=atexit_sleep_ms=0", "npm_config_prefer_offline=true",
		"POLLER_DATABASE_URL="+w.dsn, "POLLER_NATS_URL="+w.nats, "POLLER_ZIM_BASE_URL="+sim.URL(),
		fmt.Sprintf("POLLER_ZIM_APP_ID=%d", shownApp), "POLLER_ZIM_SERVER_SECRET="+shownSecret,
		"POLLER_SCHEDULE=@every 1s", "POLLER_HTTP_LISTEN=",
	)
	return w
}

// start starts the daemon, until the test is over.
func (w *shown) start(t *testing.T) {
	t.Helper()
	daemon := exec.Command(filepath.Join(w.dir, "bin", "poller"), "run")
	var log bytes.Buffer
	daemon.Env, daemon.Stderr = w.env, &log
	if err := daemon.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = daemon.Process.Signal(syscall.SIGTERM)
		if err := daemon.Wait(); err != nil || t.Failed() {
			t.Errorf("the daemon: %v\n%s", err, log.String())
		}
	})
}

// record waits until there is a past.
func (w *shown) record(t *testing.T) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), w.dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.WithoutCancel(t.Context()))
	if _, err := conn.Exec(t.Context(), `
		insert into watched_users (app_id, user_id)
		select $1, 'user-' || lpad(n::text, 6, '0') from generate_series(1, $2) n`, shownApp, shownUsers); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(2 * time.Minute); ; <-time.After(50 * time.Millisecond) {
		var sweeps, told int
		if err := conn.QueryRow(t.Context(), `
			select count(*), coalesce(min(finished), now()), now(), coalesce((select told_seq from relay_cursors where app_id = $1), 0)
			  from snapshots
			 where app_id = $1`, shownApp).Scan(&sweeps, &w.from, &w.now, &told); err != nil {
			t.Fatal(err)
		}
		if sweeps >= 5 && told > 3*shownUsers/2 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("after two minutes there are %d sweeps and %d events", sweeps, told)
		}
	}
}

// run runs the commands of one page.
func (w *shown) run(t *testing.T, p page) {
	var script strings.Builder
	out := t.TempDir()
	for i, b := range p.blocks {
		if b.language == "sh" {
			// In the shell itself, so that a variable that one block sets is there in the next.
			fmt.Fprintf(&script, "{\n%s} >%s/%d\n", w.today(p, b.text), out, i)
		}
	}
	if script.Len() == 0 {
		t.Fatal("no command is shown")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	shell := exec.CommandContext(ctx, "sh", "-e", "-c", script.String())
	shell.Env, shell.Dir = w.env, w.dir
	if said, err := shell.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s\nof the script\n%s", err, said, script.String())
	}
	for i, b := range p.blocks {
		if i == 0 || p.blocks[i-1].language != "sh" || b.language != "" {
			continue
		}
		printed, err := os.ReadFile(filepath.Join(out, fmt.Sprint(i-1)))
		if err != nil {
			t.Fatal(err)
		}
		if line := missing(b.text, string(printed)); line != "" {
			t.Errorf("%sis shown to print a line of the shape of %q. It prints\n%s", p.blocks[i-1].text, line, printed)
		}
	}
}

// today puts times of the record into a text, in the place of those that the page
// shows, and in their order.
func (w *shown) today(p page, text string) string {
	instant := regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ`)
	all := instant.FindAllString(strings.Join(p.shell(), "\n"), -1)
	slices.Sort(all)
	all = slices.Compact(all)
	return instant.ReplaceAllStringFunc(text, func(shown string) string {
		part := float64(slices.Index(all, shown)+1) / float64(len(all)+1)
		return w.from.Add(time.Duration(part * float64(w.now.Sub(w.from)))).UTC().Format(time.RFC3339Nano)
	})
}

// missing returns the first line that is shown and whose shape no line has that is
// printed behind the one before; "" for none. What is left out is shown as "…".
func missing(shown, printed string) string {
	lines := strings.Split(printed, "\n")
	for want := range strings.Lines(shown) {
		begin, _, open := strings.Cut(want, "…")
		if open && strings.TrimSpace(begin) == "" {
			continue
		}
		at := slices.IndexFunc(lines, func(line string) bool {
			return shape(line) == shape(begin) || open && strings.HasPrefix(shape(line), shape(begin))
		})
		if at < 0 {
			return strings.TrimSuffix(want, "\n")
		}
		lines = lines[at+1:]
	}
	return ""
}

// shape is a line without what differs from run to run: times, ids, figures,
// statuses, and how wide columns are.
func shape(line string) string {
	line = strings.TrimSpace(line)
	for _, s := range []struct{ what, by string }{
		{`\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(Z|\+00)?`, "time"},
		{`\d{4}-\d\d-\d\d`, "day"},
		{`\b(online|offline)\b(,| |$)`, "status$2"},
		{`-[0-9a-f]{8}-`, "-log-"},
		{`\d+(\.\d+)?`, "9"},
		{`\s+`, " "},
	} {
		line = regexp.MustCompile(s.what).ReplaceAllString(line, s.by)
	}
	return line
}

// readReplay runs the program that is shown to read a replay, on those that commands
// have told with the state: of events, and of net changes.
func (w *shown) readReplay(t *testing.T, p page) {
	i := slices.IndexFunc(p.blocks, func(b block) bool { return b.language == "go" })
	if i < 0 {
		t.Fatal("no program is shown")
	}
	source := filepath.Join(t.TempDir(), "main.go")
	if err := os.WriteFile(source, []byte(p.blocks[i].text), 0o600); err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(w.dir, "bin", "read")
	goBuild(t, program, source)
	for _, name := range []string{"with-state", "long-ago"} {
		cmd := exec.CommandContext(t.Context(), program, name)
		cmd.Env = append([]string{"NATS_URL=" + w.nats}, w.env...)
		said, err := cmd.CombinedOutput()
		if want := fmt.Sprintf("%d users\n", shownUsers); err != nil || string(said) != want {
			t.Errorf("the program that reads a replay says of %s %q, want %q (%v)", name, said, want, err)
		}
	}
	w.erase(t, "with-state", 2)
	cmd := exec.CommandContext(t.Context(), program, "with-state")
	cmd.Env = append([]string{"NATS_URL=" + w.nats}, w.env...)
	said, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(said), "messages 2 to 2 were erased") || !strings.HasSuffix(string(said), " users\n") {
		t.Errorf("behind a hole the program that reads a replay says %q (%v)", said, err)
	}
}

// erase deletes a message of a replay, and its last one.
func (w *shown) erase(t *testing.T, name string, position uint64) {
	t.Helper()
	nc, err := nats.Connect(w.nats)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	stream, err := js.Stream(t.Context(), fmt.Sprintf("PRESENCE_REPLAY_%d_%s", shownApp, name))
	if err != nil {
		t.Fatal(err)
	}
	for _, seq := range []uint64{position, stream.CachedInfo().State.LastSeq} {
		if err := stream.SecureDeleteMsg(t.Context(), seq); err != nil {
			t.Fatal(err)
		}
	}
}

// What is told beside the events, live and by a replay, is shown byte for byte but for
// the line breaks.
func TestDocsWords(t *testing.T) {
	shown := map[string]func(string) ([]byte, error){
		presence.StandingType: func(text string) ([]byte, error) {
			s, err := presence.ParseStanding([]byte(text))
			if err != nil {
				return nil, err
			}
			return s.Data()
		},
		presence.NetChangeType: func(text string) ([]byte, error) {
			n, err := presence.ParseNetChange([]byte(text))
			if err != nil {
				return nil, err
			}
			return n.Data()
		},
		presence.SweepType: func(text string) ([]byte, error) {
			s, err := presence.ParseSweepTold([]byte(text))
			if err != nil {
				return nil, err
			}
			return s.Data()
		},
		presence.IncidentType: func(text string) ([]byte, error) {
			i, err := presence.ParseIncidentTold([]byte(text))
			if err != nil {
				return nil, err
			}
			return i.Data()
		},
		presence.LeaseType: func(text string) ([]byte, error) {
			l, err := presence.ParseLeaseTold([]byte(text))
			if err != nil {
				return nil, err
			}
			return l.Data()
		},
	}
	for _, p := range pages(t) {
		for _, b := range p.blocks {
			for kind, again := range shown {
				if b.language != "json" || !strings.Contains(b.text, `"`+kind+`"`) {
					continue
				}
				text := regexp.MustCompile(`\n *`).ReplaceAllString(b.text, "")
				if data, err := again(text); err != nil || string(data) != text {
					t.Errorf("%s shows\n%s\nwhich would be told as\n%s (%v)", p.file, text, data, err)
				}
				delete(shown, kind)
			}
		}
	}
	for kind := range shown {
		t.Errorf("no %s is shown", kind)
	}
}
