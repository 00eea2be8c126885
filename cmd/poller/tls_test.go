package main

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"

	"github.com/zim-presence/poller/internal/local/localtest"
	"github.com/zim-presence/poller/internal/zimsim"
)

// guarded is a NATS server that asks who comes, the files that prove it, and what the program is told of both.
type guarded struct {
	t      *testing.T
	dir    string
	ca     *localtest.Authority
	server *localtest.ConfiguredNATS
}

const natsPassword = "nAtS-geheim-4711"

func newGuarded(t *testing.T) *guarded {
	t.Helper()
	g := &guarded{t: t, dir: t.TempDir(), ca: localtest.NewAuthority(t)}
	g.write("ca.pem", g.ca.PEM())
	g.issue("server", localtest.Certificate{Name: "server", Hosts: []string{"localhost"}})
	g.issue("admin", localtest.Certificate{Name: "admin"})
	g.issue("client", localtest.Certificate{Name: "poller"})
	return g
}

func (g *guarded) path(name string) string { return filepath.Join(g.dir, name) }

func (g *guarded) write(name string, content []byte) {
	g.t.Helper()
	if err := os.WriteFile(g.path(name), content, 0o600); err != nil {
		g.t.Fatal(err)
	}
}

// issue writes a certificate of the authority and its key.
func (g *guarded) issue(name string, c localtest.Certificate) { g.issueBy(g.ca, name, c) }

func (g *guarded) issueBy(ca *localtest.Authority, name string, c localtest.Certificate) {
	g.t.Helper()
	cert, key := ca.Issue(c)
	g.write(name+".pem", cert)
	g.write(name+".key", key)
}

// tls is the part of a server's configuration that demands TLS, from the first byte on or not, with the certificate
// of that name, and a client's certificate.
func (g *guarded) tls(server string, first bool) string {
	return fmt.Sprintf("tls { cert_file: %q, key_file: %q, ca_file: %q, verify: true, handshake_first: %t, timeout: 10 }\n",
		g.path(server+".pem"), g.path(server+".key"), g.path("ca.pem"), first)
}

// password is the part that asks for one.
func password(p string) string {
	return fmt.Sprintf("authorization { users: [ { user: admin, password: admin }, { user: poller, password: %q } ] }\n", p)
}

// env is what the program is told.
func (g *guarded) env(more ...string) []string {
	return append([]string{
		"POLLER_NATS_URL=nats://poller:" + natsPassword + "@" + g.server.Addr(),
		"POLLER_NATS_TLS_CA=" + g.path("ca.pem"), "POLLER_NATS_TLS_CERT=" + g.path("client.pem"), "POLLER_NATS_TLS_KEY=" + g.path("client.key"),
	}, more...)
}

// look lets the world read what the server has, as an administrator.
func (g *guarded) look(w *world, more ...nats.Option) {
	g.t.Helper()
	nc, err := nats.Connect("nats://admin:admin@"+g.server.Addr(), append(more, nats.MaxReconnects(-1))...)
	if err != nil {
		g.t.Fatal(err)
	}
	g.t.Cleanup(nc.Close)
	if w.js, err = jetstream.New(nc); err != nil {
		g.t.Fatal(err)
	}
}

func (g *guarded) certified() []nats.Option {
	return []nats.Option{nats.RootCAs(g.path("ca.pem")), nats.ClientCert(g.path("admin.pem"), g.path("admin.key"))}
}

// keepsTrying proves of a program that cannot get in: it polls and records, says why it is not in, and gets in by
// itself once that is mended; and nothing that it prints holds one of the secrets.
func (g *guarded) keepsTrying(w *world, env []string, why string, mend func(), secrets ...string) {
	g.t.Helper()
	w.env = append(append(w.env, env...), "POLLER_HTTP_LISTEN=127.0.0.1:0")
	users := population(20)
	w.set(users)
	w.watch(keys(users)...)
	daemon := w.start("run")
	w.untilRed(daemon, "nats")
	w.untilRed(daemon, "stream/"+strconv.Itoa(worldApp))
	w.until("the word "+why, func() bool {
		_, red := daemon.ready()
		return strings.Contains(daemon.said(), why) && strings.Contains(red["nats"], why)
	})
	w.sweeps(1)
	if n := w.count(`select count(*) from transitions`); n != len(users) {
		g.t.Errorf("%d transitions were recorded while NATS refuses, want %d", n, len(users))
	}
	mend()
	w.untilReady(daemon)
	for _, id := range among(users, zimsim.Online, 3) {
		w.set(map[string]zimsim.State{id: zimsim.LoggedOut})
	}
	w.sweeps(2)
	daemon.stop()
	for _, secret := range secrets {
		if strings.Contains(daemon.said(), secret) {
			g.t.Errorf("%q was printed", secret)
		}
	}
}

// said is everything that the program has printed so far.
func (p *process) said() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return strings.Join(p.lines, "\n")
}

// A server that demands TLS and certificates of both sides, and how it goes wrong.
func TestNATSWithTLS(t *testing.T) {
	t.Parallel()
	other := localtest.NewAuthority(t)
	for _, test := range []struct {
		name, why string
		first     bool   // TLS from the first byte on
		server    string // the server's certificate, at first
		wrong     func(*guarded)
		mend      func(*guarded)
	}{
		{name: "unknown authority", why: "certificate signed by unknown authority",
			wrong: func(g *guarded) { g.write("ours.pem", other.PEM()) },
			mend:  func(g *guarded) { g.write("ours.pem", g.ca.PEM()) }},
		{name: "expired", why: "certificate has expired", server: "expired"},
		{name: "another host", why: "certificate is valid for nats.example.com, not localhost", server: "elsewhere"},
		{name: "expired, handshake first", why: "certificate has expired", server: "expired", first: true},
		{name: "client unknown", why: "tls", // the server hangs up, in one of several ways
			wrong: func(g *guarded) { g.issueBy(other, "client", localtest.Certificate{Name: "poller"}) },
			mend:  func(g *guarded) { g.issue("client", localtest.Certificate{Name: "poller"}) }},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			g := newGuarded(t)
			g.issue("expired", localtest.Certificate{Name: "server", Hosts: []string{"localhost"}, Expired: true})
			g.issue("elsewhere", localtest.Certificate{Name: "server", Hosts: []string{"nats.example.com"}})
			g.write("ours.pem", g.ca.PEM())
			good := g.tls("server", test.first) + password(natsPassword)
			g.server = localtest.NATSConfigured(t, good)
			w := newWorld(t)
			options := g.certified()
			if test.first {
				options = append(options, nats.TLSHandshakeFirst())
			}
			g.look(w, options...)
			if test.server != "" {
				g.server.Start(g.tls(test.server, test.first) + password(natsPassword))
			}
			if test.wrong != nil {
				test.wrong(g)
			}
			env := g.env("POLLER_NATS_TLS_CA="+g.path("ours.pem"), "POLLER_NATS_TLS_HANDSHAKE_FIRST="+strconv.FormatBool(test.first))
			g.keepsTrying(w, env, test.why, func() {
				if test.server != "" {
					g.server.Start(good)
				} else {
					test.mend(g)
				}
			}, natsPassword, "PRIVATE KEY")
			w.audit()
		})
	}
}

// A server without TLS is not believed when TLS was asked for, and the other way about.
func TestNATSWithoutTheTLSThatWasAskedFor(t *testing.T) {
	t.Parallel()
	g := newGuarded(t)
	g.server = localtest.NATSConfigured(t, password(natsPassword))
	w := newWorld(t)
	g.keepsTrying(w, g.env("POLLER_NATS_URL=tls://poller:"+natsPassword+"@"+g.server.Addr()), "secure connection not available", func() {
		g.server.Start(g.tls("server", false) + password(natsPassword))
	}, natsPassword)
	g.look(w, g.certified()...)
	w.audit()
}

// Passwords and tokens that are refused, until they are not.
func TestNATSWithAPassword(t *testing.T) {
	t.Parallel()
	token := func(word string) string { return fmt.Sprintf("authorization { token: %q }\n", word) }
	for _, test := range []struct{ name, user, wrong, good string }{
		{"password", "poller:" + natsPassword, password("another"), password(natsPassword)},
		{"token", natsPassword, token("another"), token(natsPassword)},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			g := newGuarded(t)
			g.server = localtest.NATSConfigured(t, test.wrong)
			w := newWorld(t)
			file := g.path("url")
			g.write("url", []byte("nats://"+test.user+"@"+g.server.Addr()+"\n"))
			w.env = slices.DeleteFunc(w.env, func(v string) bool { return strings.HasPrefix(v, "POLLER_NATS_URL=") })
			g.keepsTrying(w, []string{"POLLER_NATS_URL_FILE=" + file}, "Authorization Violation", func() { g.server.Start(test.good) }, natsPassword)
			if test.name == "token" {
				return // nobody else may look
			}
			g.look(w)
			w.audit()
		})
	}
}

// The embedded server has no passwords. So it is for this machine, and the log says it when it is not.
func TestEmbeddedNATSIsForThisMachine(t *testing.T) {
	for listen, warns := range map[string]bool{
		"127.0.0.1:0": false, "127.0.0.2:4222": false, "localhost:0": false, "[::1]:0": false,
		":0": true, "0.0.0.0:4222": true, "[::]:0": true, "192.0.2.1:4222": true, "nats.example.com:4222": true,
	} {
		var log bytes.Buffer
		warnOfOpenNATS(listen, zerolog.New(&log))
		if got := strings.Contains(log.String(), "no passwords"); got != warns {
			t.Errorf("on %s: the log says %q, want a warning: %t", listen, log.String(), warns)
		}
	}
	cfg, fs := readText(t, minimal)
	if fs != nil {
		t.Fatal(fs)
	}
	for key, listen := range map[string]string{"nats.listen": cfg.NATS.Listen, "http.listen": cfg.HTTP.Listen} {
		host, _, err := net.SplitHostPort(listen)
		if err != nil || !net.ParseIP(host).IsLoopback() {
			t.Errorf("%s is %q unless it is set, want the loopback interface", key, listen)
		}
	}
}
