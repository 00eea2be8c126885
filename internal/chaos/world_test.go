package chaos

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/zim-presence/poller/internal/local/localtest"
	"github.com/zim-presence/poller/migrations"
)

const (
	daemons = 3
	apps    = 5 // their ids are 1 to 5
	belted  = 2 // the first of them, whose streams are made by the daemons
	rate    = 20
	ttl     = 3 * time.Second
	secret  = "b0d1f6a3c5e7492899aabbccddeeff00"

	// patience is how long the suite waits for what is bound to come. Nothing is
	// measured by it.
	patience = 5 * time.Minute
)

// world is everything around the daemons, and the daemons.
type world struct {
	t       *testing.T
	dir     string // readable by everybody who needs to
	program string // the daemons' binary
	server  *localtest.Server
	pool    *pgxpool.Pool // straight to Postgres
	nats    *process
	natsURL string // stays the same over restarts
	js      jetstream.JetStream
	zim     simulator
	daemons []*daemon
	apps    int  // their ids are 1 to apps
	rate    int  // requests a second that the daemons may send for each app
	lax     bool // the NATS server does not sync each message: it is never killed
	strikes *strikes
	leases  *leases

	measuring sync.WaitGroup
}

// newWorld is the world of chaos.
func newWorld(t *testing.T) *world {
	w := &world{apps: apps, rate: rate}
	w.open(t)
	w.makeStreams()
	for n := range daemons {
		w.daemons = append(w.daemons, w.newDaemon(n))
	}
	return w
}

// open starts the servers. There is no daemon yet, and nobody is watched. The
// users of the simulated ZIM do what they are told.
func (w *world) open(t *testing.T) {
	w.t, w.dir, w.leases = t, t.TempDir(), &leases{}
	w.strikes = &strikes{counts: map[string]int{}, locks: map[string]*sync.Mutex{}}
	w.build()
	w.startPostgres()
	w.startNATS()
	t.Cleanup(func() { w.nats.end() })
	nc, err := nats.Connect(w.natsURL, nats.MaxReconnects(-1), nats.ReconnectWait(100*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	if w.js, err = jetstream.New(nc); err != nil {
		t.Fatal(err)
	}
	w.startZIM()
}

// build builds the daemons' binary, as the test itself was built.
func (w *world) build() {
	w.program = filepath.Join(w.dir, "poller")
	out, err := exec.Command("go", "build", buildFlags, "-o", w.program, "github.com/zim-presence/poller/cmd/poller").CombinedOutput()
	if err != nil {
		w.t.Fatalf("build the daemon: %v\n%s", err, out)
	}
}

func (w *world) startPostgres() {
	w.server = localtest.PostgresServer(w.t)
	if _, err := migrations.Up(w.t.Context(), w.server.DSN()); err != nil {
		w.t.Fatal(err)
	}
	settings, err := pgxpool.ParseConfig(w.server.DSN())
	if err != nil {
		w.t.Fatal(err)
	}
	settings.MaxConns = 30
	settings.ConnConfig.RuntimeParams["application_name"] = "chaos"
	settings.ConnConfig.RuntimeParams["default_transaction_read_only"] = "off" // also while the daemons have it on
	if w.pool, err = pgxpool.NewWithConfig(w.t.Context(), settings); err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(w.pool.Close)
}

// makeStreams makes the streams of the last apps as the daemons would, but for
// the window in which the server passes over an id that it knows: that is a
// second belt, and would hide that the first one is torn.
func (w *world) makeStreams() {
	for app := belted + 1; app <= apps; app++ {
		_, err := w.js.CreateStream(w.t.Context(), jetstream.StreamConfig{
			Name: fmt.Sprintf("PRESENCE_%d", app), Subjects: []string{fmt.Sprintf("presence.v1.%d.*.*", app)},
			Storage: jetstream.FileStorage, Discard: jetstream.DiscardNew, AllowDirect: true, Duplicates: 100 * time.Millisecond,
		})
		if err != nil {
			w.t.Fatal(err)
		}
	}
}

// startNATS starts the server, for the first time or again.
func (w *world) startNATS() {
	env := append(os.Environ(), "CHAOS_PART=nats", "CHAOS_DIR="+w.dir, "CHAOS_LISTEN="+strings.TrimPrefix(w.natsURL, "nats://"))
	if w.lax {
		env = append(env, "CHAOS_LAX=1")
	}
	p, err := launch(w.log("nats"), env, os.Args[0])
	if err != nil {
		w.t.Error(err)
		return
	}
	url, err := bufio.NewReader(p.out).ReadString('\n')
	if err != nil {
		w.t.Errorf("nats does not start: %v\n%s", err, lastLines(w.log("nats"), 10))
	}
	w.nats, w.natsURL = p, strings.TrimSpace(url)
}

func (w *world) startZIM() {
	env := append(os.Environ(), "CHAOS_PART=zim", fmt.Sprintf("CHAOS_APPS=%d", w.apps))
	p, err := launch(w.log("zim"), env, os.Args[0])
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(p.end)
	if err := json.NewDecoder(p.out).Decode(&w.zim.zimAddresses); err != nil {
		w.t.Fatalf("the simulated ZIM does not start: %v\n%s", err, lastLines(w.log("zim"), 10))
	}
}

// log names the file of a process's log, which go test -artifacts keeps.
func (w *world) log(name string) string { return filepath.Join(w.t.ArtifactDir(), name+".log") }

// sql runs statements straight at Postgres, again until it answers.
func (w *world) sql(statements ...string) {
	for _, s := range statements {
		var err error
		for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
			ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
			_, err = w.pool.Exec(ctx, s)
			cancel()
			if err == nil {
				break
			}
			<-time.After(50 * time.Millisecond)
		}
		if err != nil {
			w.t.Errorf("%s: %v", s, err)
		}
	}
}

// count is a number that Postgres tells, -1 while it does not.
func (w *world) count(sql string, args ...any) (n int64) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := w.pool.QueryRow(ctx, sql, args...).Scan(&n); err != nil {
		return -1
	}
	return n
}

// wait waits for the end of something.
func (w *world) wait(what string, done <-chan struct{}) {
	select {
	case <-done:
	case <-time.After(patience):
		w.t.Errorf("waited %s for %s", patience, what)
	}
}

// until waits for a condition, and tells whether it came.
func (w *world) until(what string, reached func() bool) bool {
	for deadline := time.Now().Add(patience); !reached(); {
		if time.Now().After(deadline) {
			w.t.Errorf("waited %s for: %s", patience, what)
			return false
		}
		<-time.After(100 * time.Millisecond)
	}
	return true
}

// postgresLink returns a proxy to Postgres and the DSN through it. The last
// daemon's connections look like those through a pooler: Postgres sees another
// socket than the daemon's.
func (w *world) postgresLink(n int) (*localtest.Proxy, string) {
	p, through := localtest.PostgresProxy(w.t, w.server.DSN())
	if n == daemons-1 {
		server, _ := url.Parse(w.server.DSN())
		p = localtest.NewProxy(w.t, "tcp", w.bridge(filepath.Join(server.Query().Get("host"), ".s.PGSQL."+server.Query().Get("port"))))
		u := url.URL{Scheme: "postgres", User: server.User, Host: p.Addr(), Path: server.Path, RawQuery: "sslmode=disable"}
		through = u.String()
	}
	return p, through + "&application_name=" + fmt.Sprint("daemon", n)
}

// bridge lets a Unix socket be reached over TCP.
func (w *world) bridge(socket string) string {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return // closed
			}
			go func() {
				defer client.Close()
				server, err := net.Dial("unix", socket)
				if err != nil {
					return
				}
				go func() {
					defer server.Close()
					_, _ = io.Copy(server, client)
				}()
				_, _ = io.Copy(client, server)
			}()
		}
	}()
	return listener.Addr().String()
}
