package stream

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/rs/zerolog"
)

// Options say how to reach NATS.
type Options struct {
	// URL names the servers, comma-separated; it may hold a user and a password.
	URL string
	// Name is shown in the server's list of connections.
	Name string
	// Creds is the path of a credentials file; empty for none.
	Creds string
	// CA, Cert and Key are paths of PEM files; each may be empty, but Cert and Key
	// go together. They are read again for each connection.
	CA, Cert, Key string
	// HandshakeFirst speaks TLS from the first byte, to servers that are set up so.
	HandshakeFirst bool
	// Log hears of the connection's changes.
	Log zerolog.Logger
}

const (
	connectTimeout = 2 * time.Second
	pingInterval   = 2 * time.Second
	pingsMissed    = 2
	reconnectWait  = 200 * time.Millisecond
	reconnectMost  = 300 * time.Millisecond
	flushTimeout   = 5 * time.Second
)

// Connect returns a connection that never gives up, also when no server can be
// reached yet or the credentials are refused: it says so in the log and tries
// again, twice to five times a second. Names are looked up anew each time. While NATS is away nothing is buffered, a
// publish fails at once. What no retry can mend, such as a malformed URL or an
// unreadable file, is an error. Neither errors nor log name a credential.
func Connect(opts Options) (*nats.Conn, error) {
	servers, err := opts.servers()
	if err != nil {
		return nil, err
	}
	options := []nats.Option{
		nats.Name(opts.Name),
		nats.Timeout(connectTimeout),
		// The client's own lookup has no timeout, and everybody who asks how the
		// connection stands waits for it; the dialer's is part of connectTimeout.
		nats.SkipHostLookup(),
		nats.RetryOnFailedConnect(true),
		nats.MaxReconnects(-1),
		nats.ReconnectBufSize(-1),
		nats.ReconnectWait(reconnectWait),
		nats.ReconnectJitter(reconnectMost, reconnectMost),
		nats.PingInterval(pingInterval),
		nats.MaxPingsOutstanding(pingsMissed),
		nats.FlusherTimeout(flushTimeout),
		nats.IgnoreAuthErrorAbort(),
	}
	options = append(options, opts.telling()...)
	files, err := opts.files()
	if err != nil {
		return nil, err
	}
	nc, err := nats.Connect(servers, append(options, files...)...)
	if err != nil {
		return nil, fmt.Errorf("connect to nats: %w", err)
	}
	return nc, nil
}

// servers checks the URLs before nats.go sees them, which would print them
// whole in its errors.
func (o Options) servers() (string, error) {
	if strings.TrimSpace(o.URL) == "" {
		return "", errors.New("connect to nats: no server is named")
	}
	list := strings.Split(o.URL, ",")
	for i, server := range list {
		list[i] = strings.TrimSpace(server)
		text := list[i]
		if !strings.Contains(text, "://") {
			text = "nats://" + text
		}
		u, err := url.Parse(text)
		// A password with a slash ends the host too early; the rest would be told.
		if err != nil || u.Hostname() == "" || strings.Contains(u.Path+u.RawQuery+u.Fragment, "@") {
			return "", fmt.Errorf("connect to nats: server %d of %d is no URL such as nats://host:4222; special characters in user and password must be percent-encoded", i+1, len(list))
		}
	}
	return strings.Join(list, ","), nil
}

// files tries each file once, so that a wrong path is an error at start and not
// a connection that never comes.
func (o Options) files() (options []nats.Option, err error) {
	if o.Creds != "" {
		if _, err = os.ReadFile(o.Creds); err != nil {
			return nil, fmt.Errorf("nats credentials: %w", err)
		}
		options = append(options, nats.UserCredentials(o.Creds))
	}
	if o.CA != "" {
		pem, err := os.ReadFile(o.CA)
		if err != nil {
			return nil, fmt.Errorf("nats ca: %w", err)
		}
		if !x509.NewCertPool().AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("nats ca: %s holds no certificate", o.CA)
		}
		options = append(options, nats.RootCAs(o.CA))
	}
	if o.Cert != "" || o.Key != "" {
		if _, err = tls.LoadX509KeyPair(o.Cert, o.Key); err != nil {
			return nil, fmt.Errorf("nats client certificate: %w", err)
		}
		options = append(options, nats.ClientCert(o.Cert, o.Key))
	}
	if o.HandshakeFirst {
		options = append(options, nats.TLSHandshakeFirst())
	}
	return options, nil
}

// telling logs the changes of the connection. It names addresses, not URLs:
// the user part of a URL may be a token.
func (o Options) telling() []nats.Option {
	log := o.Log
	// A server that is away or refuses says so at each attempt, one that denies a
	// subject at each message.
	seldom := log.Sample(&zerolog.BurstSampler{Burst: 2, Period: 10 * time.Second})
	connected := func(nc *nats.Conn) {
		log.Info().Str("addr", nc.ConnectedAddr()).Msg("nats connected")
	}
	return []nats.Option{
		nats.ConnectHandler(connected),
		nats.ReconnectHandler(connected),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			// A connection that its owner closes tells no error.
			if err != nil {
				log.Warn().Err(err).Msg("nats disconnected")
			}
		}),
		nats.ReconnectErrHandler(func(_ *nats.Conn, err error) {
			seldom.Warn().Err(err).Msg("nats not reached")
		}),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
			seldom.Warn().Err(err).Msg("nats complains")
		}),
	}
}
