package main

import (
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/zim-presence/poller/internal/local/localtest"
	"github.com/zim-presence/poller/internal/zimsim"
)

// secrets looks for words that nobody may say, wherever the program speaks.
type secrets struct {
	t     *testing.T
	words map[string]string // what is looked for, and which secret it is
}

// newSecrets adds each word as it is, and as URLs and other encodings write it.
func newSecrets(t *testing.T, words ...string) *secrets {
	s := &secrets{t: t, words: map[string]string{"Signature=": "a signature", "UserId%5B": "a signed URL", "SignatureNonce": "a signed URL"}}
	for _, w := range words {
		for _, form := range []string{
			w, url.QueryEscape(w), url.PathEscape(w), url.UserPassword("", w).String(), base64.StdEncoding.EncodeToString([]byte(w)), fmt.Sprintf("%x", w),
		} {
			s.words[strings.TrimPrefix(form, ":")] = w
		}
	}
	return s
}

func (s *secrets) look(where, text string) {
	s.t.Helper()
	for form, secret := range s.words {
		if at := strings.Index(text, form); at >= 0 {
			s.t.Errorf("%s tells %q: …%s…", where, secret, text[max(0, at-80):min(len(text), at+len(form)+20)])
		}
	}
}

// lookAt looks at all that can be seen of a running program from outside: its pages, its own command line and those
// of its children.
func (s *secrets) lookAt(p *process) {
	s.t.Helper()
	if addr := p.field("http listens", "addr"); addr != "" {
		for _, path := range []string{"/", "/metrics", "/readyz", "/healthz", "/nothing"} {
			s.look(path, s.page("http://"+addr+path))
		}
	}
	lines := cmdlines(p.cmd.Process.Pid)
	if runtime.GOOS == "linux" && len(lines) == 0 && !ended(p) {
		s.t.Error("no command line was found")
	}
	for _, line := range lines {
		s.look("a command line", line)
	}
}

// page is all that a page answers, headers too.
func (s *secrets) page(address string) string {
	resp, err := http.Get(address)
	if err != nil {
		return ""
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Error(err)
	}
	return fmt.Sprint(resp.Header) + string(body)
}

// cmdlines are those of a process and of all that it started, where the system has /proc.
func cmdlines(pid int) (lines []string) {
	parents, dirs := map[int]int{}, map[int]string{}
	entries, _ := filepath.Glob("/proc/[0-9]*")
	for _, dir := range entries {
		stat, err := os.ReadFile(dir + "/stat")
		behind := strings.LastIndexByte(string(stat), ')') // a name may hold anything
		if err != nil || behind < 0 {
			continue // it has ended
		}
		var state string
		var parent int
		if _, err := fmt.Sscan(string(stat[behind+1:]), &state, &parent); err == nil {
			n, _ := strconv.Atoi(filepath.Base(dir))
			parents[n], dirs[n] = parent, dir
		}
	}
	for n, dir := range dirs {
		for at := n; at > 1; at = parents[at] {
			if at == pid {
				if line, err := os.ReadFile(dir + "/cmdline"); err == nil {
					lines = append(lines, strings.ReplaceAll(string(line), "\x00", " "))
				}
				break
			}
		}
	}
	return lines
}

// finished looks at all that a program has printed when it has ended.
func (s *secrets) finished(p *process) {
	s.t.Helper()
	s.look("the log of "+strings.Join(p.cmd.Args[1:], " "), p.said())
	s.look("the output of "+strings.Join(p.cmd.Args[1:], " "), p.out.String())
}

const (
	secretInline = "5ecre7aa11bb22cc33dd44ee55ff6600"
	secretInFile = "5ecre7ff00ee11dd22cc33bb44aa5500"
	secretInEnv  = "5ecre70011223344556677889900aabb"
	secretOfDB   = "pg:Pa%ss/w@rd-4711"
	secretOfNATS = "na:Pa%ss/w@rd-0815"
	secretOfCall = "5ecre7ca11bac4ca11bac4ca11bac400"
	wrongOfDB    = "wrong-pg-9f8e"
	wrongOfNATS  = "wrong-nats-7d6c"
)

// A whole life, with every kind of trouble, at the level that tells most: nothing that the program says to anybody
// holds a secret. Passwords, tokens and keys stand wherever they can.
func TestSecretsAreToldToNobody(t *testing.T) {
	t.Parallel()
	s := newSecrets(t, secretInline, secretInFile, secretInEnv, secretOfDB, secretOfNATS, secretOfCall)
	db := localtest.PostgresTCP(t, localtest.Access{HBA: "host all all all scram-sha-256"})
	db.Exec("create role secretive superuser login password '" + secretOfDB + "'")
	g := newGuarded(t)
	g.server = localtest.NATSConfigured(t, password(secretOfNATS))
	w := newWorldOn(t, db.Admin())
	g.look(w)
	g.write("secret", []byte(secretInFile+"\n"))
	g.write("config.yaml", []byte(fmt.Sprintf(`
apps:
- {app_id: %d, server_secret_env: WORLD_SECRET}
- {app_id: 1, server_secret: %s, callback_secret: %s}
- {app_id: 2, server_secret_file: %s}
- {app_id: 3, server_secret_env: THIRD_SECRET, base_url: "http://127.0.0.1:1"}
- {app_id: 4, server_secret: %s, base_url: "https://localhost:1"}
`, worldApp, secretInline, secretOfCall, g.path("secret"), secretInline)))
	s.words[worldSecret] = "the world's secret"
	dsn := (&url.URL{Scheme: "postgres", User: url.UserPassword("secretive", secretOfDB), Host: db.Addr(), Path: "/poller"}).String()
	w.env = append(without(w.env, "POLLER_ZIM_APP_ID=", "POLLER_ZIM_SERVER_SECRET="),
		"POLLER_DATABASE_URL="+dsn, "POLLER_NATS_URL=nats://"+url.UserPassword("poller", secretOfNATS).String()+"@"+g.server.Addr(),
		"POLLER_CONFIG="+g.path("config.yaml"), "WORLD_SECRET="+worldSecret, "THIRD_SECRET="+secretInEnv,
		"POLLER_HTTP_LISTEN=127.0.0.1:0", "POLLER_LOG_LEVEL=trace", "POLLER_ZIM_TIMEOUT=300ms", "POLLER_CALLBACK_LISTEN=127.0.0.1:0")
	for _, args := range [][]string{{"check"}, {"check", "-o", "json"}, {"migrate"}, {"watch", "count", "--app=1"}} {
		p := w.start(args...)
		if code := p.ended(); code != 0 {
			t.Errorf("poller %s: exit code %d, %s", strings.Join(args, " "), code, p.said())
		}
		s.finished(p)
	}
	users := population(150)
	w.set(users)
	w.watch(keys(users)...)
	w.exec(`insert into watched_users (app_id, user_id) select n, 'u' from generate_series(1, 4) n`)
	daemon := w.start("run")
	w.sweeps(1)
	callBackIn(t, daemon)
	w.troubles(s, daemon, db, g)
	s.look("the list of NATS connections", g.connections())
	s.look("the list of sessions", w.sessions())
	daemon.stop()
	s.finished(daemon)
	if n := daemon.logged("check is red"); n < 4 {
		t.Errorf("%d checks became red, want all of the trouble to be seen", n)
	}
}

// troubles makes them one after the other, and looks around in each.
func (w *world) troubles(s *secrets, daemon *process, db *localtest.TCPPostgres, g *guarded) {
	for _, text := range []string{"http:503", "http:400", "http:429", "cut_headers", "cut_body", "html", "truncated", "code:2", "hang", "code:100000005"} {
		faults, err := zimsim.ParseFaults(text)
		if err == nil {
			err = w.sim.AddFaults(faults...)
		}
		if err != nil {
			w.t.Fatal(err)
		}
		swept := daemon.logged("sweep ended")
		w.until("a sweep with "+text, func() bool { return daemon.logged("sweep ended") > swept })
		s.lookAt(daemon)
		w.sim.ClearFaults()
	}
	g.server.Start(password("another"))
	w.untilRed(daemon, "nats")
	s.lookAt(daemon)
	g.server.Stop()
	db.Exec("alter role secretive password 'another'", "select pg_terminate_backend(pid) from pg_stat_activity where usename = 'secretive'")
	w.untilRed(daemon, "postgres")
	s.lookAt(daemon)
	db.Exec("alter role secretive nologin")
	s.lookAt(daemon)
	db.Exec("alter role secretive login password '" + secretOfDB + "'")
	g.server.Start(password(secretOfNATS))
	w.until("the end of the trouble", func() bool {
		_, red := daemon.ready()
		return red["nats"] == "" && red["postgres"] == ""
	})
}

// connections is what an administrator of NATS sees of those who are connected.
func (g *guarded) connections() string {
	g.t.Helper()
	list, err := g.server.Server().Connz(nil)
	if err != nil {
		g.t.Fatal(err)
	}
	var text strings.Builder
	for _, c := range list.Conns {
		fmt.Fprintln(&text, c.Name, c.Lang, c.AuthorizedUser)
	}
	if !strings.Contains(text.String(), "poller") {
		g.t.Errorf("the connections are %s, want the poller's among them", text.String())
	}
	return text.String()
}

// sessions is what an administrator of Postgres sees of the program's sessions.
func (w *world) sessions() (text string) {
	w.t.Helper()
	err := w.pool.QueryRow(w.t.Context(), `
		select coalesce(string_agg(application_name || ' ' || query, E'\n'), '')
		  from pg_stat_activity
		 where usename = 'secretive'`).Scan(&text)
	if err != nil || !strings.Contains(text, "poller") {
		w.t.Errorf("the sessions are %q, %v; want the poller's among them", text, err)
	}
	return text
}

// Mistakes in a configuration stand right beside secrets. Whatever is wrong, and whichever command finds it, the
// secret is not told.
func TestMistakesTellNoSecret(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	creds := "-----BEGIN NATS USER JWT-----\n" + wrongOfNATS + "\n------END NATS USER JWT------\n" +
		"-----BEGIN USER NKEY SEED-----\nSU" + wrongOfNATS + "\n------END USER NKEY SEED------\n"
	s := newSecrets(t, wrongOfDB, wrongOfNATS, secretInFile)
	kept := slices.Concat(w.env, []string{"POLLER_LOG_LEVEL=trace", "POLLER_HTTP_LISTEN=127.0.0.1:0", "POLLER_DATA_DIR=" + filepath.Join(dir, "data")})
	for _, env := range [][]string{
		{"POLLER_DATABASE_URL=postgres://u:" + wrongOfDB + "@127.0.0.1:1/d"},
		{"POLLER_DATABASE_URL=postgres://u:" + wrongOfDB + "@127.0.0.1:port/d"},
		{"POLLER_DATABASE_URL=postgres://u:" + wrongOfDB + "/x@127.0.0.1:1/d"},
		{"POLLER_DATABASE_URL=postgres://u:" + wrongOfDB + "#@127.0.0.1:1/d"},
		{"POLLER_DATABASE_URL=postgres://u:" + wrongOfDB + "%zz@127.0.0.1:1/d"},
		{"POLLER_DATABASE_URL=postgres://u:" + wrongOfDB + "@127.0.0.1:1/d?sslmode=never"},
		{"POLLER_DATABASE_URL=postgres://u:" + wrongOfDB + "@127.0.0.1:1/d?sslmode=verify-full&sslrootcert=/none"},
		{"POLLER_DATABASE_URL=postgres://u:" + wrongOfDB + "@127.0.0.1:1/d?connect_timeout=soon"},
		{"POLLER_DATABASE_URL=host=127.0.0.1 port=1 user=u password=" + wrongOfDB + " sslmode=never"},
		{"POLLER_DATABASE_URL=host=127.0.0.1 port=1 user=u password='" + wrongOfDB},
		{"POLLER_DATABASE_URL=host=127.0.0.1 port=1 user=u password=" + wrongOfDB + " " + wrongOfDB},
		{"POLLER_DATABASE_URL=postgres://u:" + wrongOfDB + "@127.0.0.1:1/d?pool_max_conns=many"},
		{"POLLER_DATABASE_URL=mysql://u:" + wrongOfDB + "@127.0.0.1/d"},
		{"POLLER_DATABASE_URL=", "POLLER_DATABASE_URL_FILE=" + file("dsn", "mysql://u:"+wrongOfDB+"@127.0.0.1/d")},
		{"POLLER_NATS_URL=nats://u:" + wrongOfNATS + "@127.0.0.1:1"},
		{"POLLER_NATS_URL=nats://" + wrongOfNATS + "@127.0.0.1:1"},
		{"POLLER_NATS_URL=nats://" + wrongOfNATS + "@no-such-host.invalid"},
		{"POLLER_NATS_URL=nats://u:" + wrongOfNATS + "/x@127.0.0.1:1"},
		{"POLLER_NATS_URL=nats://u:" + wrongOfNATS + "%zz@127.0.0.1:1"},
		{"POLLER_NATS_URL=nats://u:" + wrongOfNATS + "@127.0.0.1:port"},
		{"POLLER_NATS_URL=wss://u:" + wrongOfNATS + "@127.0.0.1:1,nats://" + wrongOfNATS + "@127.0.0.1:1"},
		{"POLLER_NATS_URL=ws://u:" + wrongOfNATS + "@127.0.0.1:1"},
		{"POLLER_NATS_URL=nats://127.0.0.1:1", "POLLER_NATS_CREDS=" + file("creds", creds)},
		{"POLLER_NATS_CREDS=" + file("bad", wrongOfNATS)},
		{"POLLER_NATS_TLS_CERT=" + file("cert", wrongOfNATS), "POLLER_NATS_TLS_KEY=" + file("key", wrongOfNATS)},
		{"POLLER_ZIM_SERVER_SECRET=" + secretInFile + " "},
		{"POLLER_ZIM_SERVER_SECRET=" + secretInFile, "POLLER_ZIM_BASE_URL=http://127.0.0.1:1"},
		{"POLLER_ZIM_SERVER_SECRET=" + secretInFile, "POLLER_ZIM_BASE_URL=https://" + strings.TrimPrefix(w.sim.URL(), "http://")},
		{"POLLER_ZIM_BASE_URL=http://u:" + secretInFile + "@127.0.0.1"},
		{"POLLER_DATABASE_URL=postgres://u:" + wrongOfDB + "@127.0.0.1:1/d?pool_min_conns=" + wrongOfDB},
		{"POLLER_ZIM_RATE=" + secretInFile, "POLLER_LEASE_TTL=" + secretInFile, "POLLER_SCHEDULE=" + secretInFile, "POLLER_LOG_LEVEL=" + secretInFile},
	} {
		t.Run("", func(t *testing.T) {
			t.Parallel()
			w, s := *w, *s
			w.t, s.t = t, t
			w.env = append(slices.Clone(kept), env...)
			for _, args := range [][]string{nil, {"-o", "json"}} {
				_, stdout, stderr := runCheck(t, w.env, args...)
				s.look("poller check", stdout+stderr)
			}
			p := w.start("run")
			w.until("the end, or that it runs", func() bool {
				return ended(p) || p.logged("waiting for the database")+p.logged("nats not reached")+p.logged("sweep ended") > 0
			})
			if !ended(p) {
				s.lookAt(p)
			}
			_ = p.cmd.Process.Signal(syscall.SIGTERM) // it may have ended
			p.ended()
			s.finished(p)
		})
	}
}

func ended(p *process) bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// The embedded Postgres is a process of its own, as another user: it is given no secret, not on its command line either.
func TestChildrenAreToldNoSecret(t *testing.T) {
	t.Parallel()
	dir, err := os.MkdirTemp("", "poller-secrets") //nolint:usetesting // the account of Postgres may not enter t.TempDir
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, "POLLER_DATABASE_URL=", "POLLER_NATS_URL=", "POLLER_DATA_DIR="+filepath.Join(dir, "data"), "POLLER_NATS_LISTEN=127.0.0.1:0",
		"POLLER_HTTP_LISTEN=127.0.0.1:0", "POLLER_LOG_LEVEL=trace")
	w.env = append(w.env, "POLLER_ZIM_SERVER_SECRET="+worldSecret)
	s := newSecrets(t, worldSecret)
	daemon := w.start("run")
	w.until("a sweep", func() bool { return daemon.logged("sweep ended") > 0 })
	if lines := cmdlines(daemon.cmd.Process.Pid); runtime.GOOS == "linux" && len(lines) < 3 {
		t.Errorf("the program and its children are %q, want a Postgres among them", lines)
	}
	s.lookAt(daemon)
	daemon.stop()
	s.finished(daemon)
	for name, most := range map[string]os.FileMode{"postgres": 0o700, "nats": 0o700, "postgres.lock": 0o600, "nats.lock": 0o600} {
		info, err := os.Stat(filepath.Join(dir, "data", name))
		if err != nil || info.Mode().Perm() != most {
			t.Errorf("%s has the mode %v, %v; want %v", name, info.Mode().Perm(), err, most)
		}
	}
}
