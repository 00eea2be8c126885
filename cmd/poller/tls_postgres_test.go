package main

import (
	"net/url"
	"strings"
	"testing"

	"github.com/zim-presence/poller/internal/local/localtest"
)

const databasePassword = "pG-geheim%/4711"

// hba is what a careful administrator writes: TLS or nothing, a certificate alone for one role, one beside the
// password for another, the password alone for a third.
const hba = `hostssl all by_cert all cert
hostssl all by_both all scram-sha-256 clientcert=verify-full
hostssl all by_word all scram-sha-256
hostnossl all all all reject`

// closed is a Postgres that asks who comes, with the program's files beside it.
type closed struct {
	*guarded
	db     *localtest.TCPPostgres
	access localtest.Access
}

func newClosed(t *testing.T) *closed {
	t.Helper()
	c := &closed{guarded: newGuarded(t)}
	cert, key := c.ca.Issue(localtest.Certificate{Name: "postgres", Hosts: []string{"localhost"}})
	c.access = localtest.Access{HBA: hba, Cert: cert, Key: key, ClientCA: c.ca.PEM()}
	c.db = localtest.PostgresTCP(t, c.access)
	word := strings.ReplaceAll(databasePassword, "'", "''")
	for _, role := range []string{"by_cert", "by_both", "by_word"} {
		c.db.Exec("create role "+role+" superuser login password '"+word+"'", "grant poller to "+role)
		c.issue(role, localtest.Certificate{Name: role})
	}
	return c
}

// dsn is the role's; the password is in it if there is to be one.
func (c *closed) dsn(role, word string, more ...string) string {
	u := url.URL{Scheme: "postgres", Host: c.db.Addr(), Path: "/poller", User: url.User(role)}
	if word != "" {
		u.User = url.UserPassword(role, word)
	}
	q := url.Values{"sslmode": {"verify-full"}, "sslrootcert": {c.path("ca.pem")}}
	for i := 0; i < len(more); i += 2 {
		q.Set(more[i], more[i+1])
	}
	u.RawQuery = q.Encode()
	return u.String()
}

func (c *closed) certified(role, word string) string {
	return c.dsn(role, word, "sslcert", c.path(role+".pem"), "sslkey", c.path(role+".key"))
}

// Ways in that are meant to be, each by the whole program.
func TestPostgresWithTLS(t *testing.T) {
	t.Parallel()
	c := newClosed(t)
	c.write("pass", []byte("localhost:*:*:by_word:"+strings.NewReplacer(`\`, `\\`, ":", `\:`).Replace(databasePassword)+"\n"))
	c.write("url", []byte(c.certified("by_both", databasePassword)+"\n"))
	host, port, _ := strings.Cut(c.db.Addr(), ":")
	w := newWorldOn(t, c.db.Admin())
	users := population(20)
	w.set(users)
	w.watch(keys(users)...)
	for _, env := range [][]string{
		{"POLLER_DATABASE_URL=" + c.certified("by_cert", "")},
		{"POLLER_DATABASE_URL_FILE=" + c.path("url")},
		{"POLLER_DATABASE_URL=" + c.dsn("by_word", ""), "PGPASSFILE=" + c.path("pass")},
		{"POLLER_DATABASE_URL=host=" + host + " port=" + port + " dbname=poller user=by_word password='" + databasePassword +
			"' sslmode=verify-full sslrootcert=" + c.path("ca.pem")},
	} {
		kept := w.env
		w.env = append(without(w.env, "POLLER_DATABASE_URL="), env...)
		p := w.start("sweep")
		if code := p.ended(); code != 0 {
			t.Errorf("poller sweep with %s: exit code %d", env, code)
		}
		if said := p.said() + p.out.String(); strings.Contains(said, "geheim") {
			t.Errorf("with %s the password was printed:\n%s", env, said)
		}
		w.env = kept
	}
	w.audit()
}

// Ways in that are shut, until somebody mends them on the server.
func TestPostgresRefuses(t *testing.T) {
	t.Parallel()
	other := localtest.NewAuthority(t)
	serverOf := func(ca *localtest.Authority, cert localtest.Certificate) func(*closed) localtest.Access {
		return func(c *closed) localtest.Access {
			a := c.access
			if ca == nil {
				ca = c.ca
			}
			a.Cert, a.Key = ca.Issue(cert)
			return a
		}
	}
	for _, test := range []struct {
		name, why string
		wrong     func(*closed) localtest.Access // how it stands at first
		dsn       func(*closed) string
		mend      func(*closed)
	}{
		{name: "unknown authority", why: "certificate signed by unknown authority",
			wrong: serverOf(other, localtest.Certificate{Name: "postgres", Hosts: []string{"localhost"}})},
		{name: "expired", why: "certificate has expired",
			wrong: serverOf(nil, localtest.Certificate{Name: "postgres", Hosts: []string{"localhost"}, Expired: true})},
		{name: "another host", why: "not localhost",
			wrong: serverOf(nil, localtest.Certificate{Name: "postgres", Hosts: []string{"db.example.com"}})},
		{name: "without TLS", why: "no encryption",
			dsn:  func(c *closed) string { return c.dsn("by_word", databasePassword, "sslmode", "disable") },
			mend: func(c *closed) { c.access.HBA = "host all all all scram-sha-256"; c.db.Reload(c.access) }},
		{name: "without a certificate", why: "requires a valid client certificate",
			dsn: func(c *closed) string { return c.dsn("by_both", databasePassword) },
			mend: func(c *closed) {
				c.access.HBA = strings.ReplaceAll(hba, " clientcert=verify-full", "")
				c.db.Reload(c.access)
			}},
		{name: "certificate of another", why: `certificate authentication failed for user \"by_cert\"`,
			dsn: func(c *closed) string {
				return c.dsn("by_cert", "", "sslcert", c.path("by_both.pem"), "sslkey", c.path("by_both.key"))
			},
			mend: func(c *closed) {
				c.access.HBA = "hostssl all by_cert all trust clientcert=verify-ca"
				c.db.Reload(c.access)
			}},
		{name: "wrong password", why: `password authentication failed for user \"by_word\"`,
			dsn:  func(c *closed) string { return c.dsn("by_word", "geheim-0815") },
			mend: func(c *closed) { c.db.Exec("alter role by_word password 'geheim-0815'") }},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			c := newClosed(t)
			if test.wrong != nil {
				c.db.Reload(test.wrong(c))
			}
			dsn := c.certified("by_both", databasePassword)
			if test.dsn != nil {
				dsn = test.dsn(c)
			}
			w := newWorldOn(t, c.db.Admin(), "POLLER_HTTP_LISTEN=127.0.0.1:0")
			w.env = append(w.env, "POLLER_DATABASE_URL="+dsn)
			w.watch("a", "b")
			daemon := w.start("run")
			w.untilRed(daemon, "postgres")
			w.until("the word "+test.why, func() bool { return strings.Contains(daemon.said(), test.why) })
			if test.mend != nil {
				test.mend(c)
			} else {
				c.db.Reload(c.access)
			}
			w.untilReady(daemon)
			w.sweeps(2)
			daemon.stop()
			if strings.Contains(daemon.said(), "geheim") {
				t.Error("the password was printed")
			}
			w.audit()
		})
	}
}
