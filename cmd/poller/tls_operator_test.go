package main

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"github.com/zim-presence/poller/internal/local/localtest"
)

// chain is an operator, an account with JetStream and a system account: who may sign users.
type chain struct {
	t                         *testing.T
	operator, account, system nkeys.KeyPair
	claims                    *jwt.AccountClaims
}

func newChain(t *testing.T) *chain {
	t.Helper()
	c := &chain{t: t}
	for key, create := range map[*nkeys.KeyPair]func() (nkeys.KeyPair, error){
		&c.operator: nkeys.CreateOperator, &c.account: nkeys.CreateAccount, &c.system: nkeys.CreateAccount,
	} {
		var err error
		if *key, err = create(); err != nil {
			t.Fatal(err)
		}
	}
	c.claims = jwt.NewAccountClaims(c.public(c.account))
	c.claims.Name = "presence"
	c.claims.Limits.JetStreamLimits = jwt.JetStreamLimits{MemoryStorage: -1, DiskStorage: -1, Streams: -1, Consumer: -1}
	return c
}

func (c *chain) public(k nkeys.KeyPair) string {
	c.t.Helper()
	public, err := k.PublicKey()
	if err != nil {
		c.t.Fatal(err)
	}
	return public
}

func (c *chain) sign(claims jwt.Claims, by nkeys.KeyPair) string {
	c.t.Helper()
	token, err := claims.Encode(by)
	if err != nil {
		c.t.Fatal(err)
	}
	return token
}

// config is the server's, which trusts the operator.
func (c *chain) config() string {
	operator := jwt.NewOperatorClaims(c.public(c.operator))
	operator.SystemAccount = c.public(c.system)
	return fmt.Sprintf("operator: %s\nsystem_account: %s\nresolver: MEMORY\nresolver_preload: { %s: %s, %s: %s }\n",
		c.sign(operator, c.operator), c.public(c.system),
		c.public(c.account), c.sign(c.claims, c.operator),
		c.public(c.system), c.sign(jwt.NewAccountClaims(c.public(c.system)), c.operator))
}

// user returns a new user's credentials, as a .creds file has them, its seed, and its name.
func (c *chain) user(by nkeys.KeyPair, change func(*jwt.UserClaims)) (creds []byte, seed, public string) {
	c.t.Helper()
	k, err := nkeys.CreateUser()
	if err != nil {
		c.t.Fatal(err)
	}
	raw, err := k.Seed()
	if err != nil {
		c.t.Fatal(err)
	}
	claims := jwt.NewUserClaims(c.public(k))
	if change != nil {
		change(claims)
	}
	if creds, err = jwt.FormatUserConfig(c.sign(claims, by), raw); err != nil {
		c.t.Fatal(err)
	}
	return creds, string(raw), claims.Subject
}

// A server that knows users by the signatures of an operator and an account alone.
func TestNATSWithCredentials(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name    string
		by      func(*chain) nkeys.KeyPair // who signs the first credentials
		change  func(*jwt.UserClaims)
		revoked bool
	}{
		{name: "unknown account", by: func(c *chain) nkeys.KeyPair { return newChain(c.t).account }},
		{name: "expired", change: func(u *jwt.UserClaims) { u.Expires = time.Now().Add(-time.Hour).Unix() }},
		{name: "revoked", revoked: true},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			g, c := newGuarded(t), newChain(t)
			by := c.account
			if test.by != nil {
				by = test.by(c)
			}
			creds, seed, public := c.user(by, test.change)
			g.write("poller.creds", creds)
			if test.revoked {
				c.claims.Revoke(public)
			}
			g.server = localtest.NATSConfigured(t, g.tls("server", false)+c.config())
			w := newWorld(t)
			good, goodSeed, _ := c.user(c.account, nil)
			env := g.env("POLLER_NATS_URL=tls://"+g.server.Addr(), "POLLER_NATS_CREDS="+g.path("poller.creds"))
			g.keepsTrying(w, env, "Authorization Violation", func() { g.write("poller.creds", good) }, seed, goodSeed, jwtIn(creds), jwtIn(good))
			g.look(w, append(g.certified(), nats.UserCredentials(g.path("poller.creds")))...)
			w.audit()
		})
	}
}

// jwtIn is the signed part of credentials, which is not for the log either.
func jwtIn(creds []byte) string {
	for line := range strings.Lines(string(creds)) {
		if strings.HasPrefix(line, "ey") {
			return strings.TrimSpace(line)
		}
	}
	return "no token"
}
