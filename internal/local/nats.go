package local

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/rs/zerolog"
)

// NATS says where and how an embedded NATS server is to run.
type NATS struct {
	// Dir is the data directory; made if it is missing. JetStream keeps its store in Dir/nats.
	Dir string
	// Listen is host:port; port 0 or -1 means a free one. Empty means 127.0.0.1:0. It has no effect where
	// another process already runs this server.
	Listen string
	// Throwaway trades durability for speed: an outage of the machine may lose what was acknowledged in
	// the last minutes. It has no effect where another process already runs this server.
	Throwaway bool
	// Log hears of starts and stops, and what the server says: warnings as such, the rest at level debug.
	Log zerolog.Logger
}

// NATSServer is a running NATS server with JetStream, run by this process or by another.
type NATSServer struct {
	how   NATS
	store string
	share share
	url   string
	owned bool
	close func() error
}

// TakenError says that the address to listen on is in use.
type TakenError struct {
	// Address is the host:port that was asked for.
	Address string
	// Err is what the system said.
	Err error
}

func (e *TakenError) Error() string {
	return fmt.Sprintf("nats cannot listen on %s: another program does; choose another address or stop that program", e.Address)
}

// Unwrap returns what the system said.
func (e *TakenError) Unwrap() error { return e.Err }

// OpenNATS returns the NATS server of a data directory: the one that another process runs there, or else a
// new one, started here. The context bounds the wait for another process; the server runs until Close or
// until this process ends. A *TakenError says that the address is in use.
func OpenNATS(ctx context.Context, n NATS) (*NATSServer, error) {
	dir, err := filepath.Abs(n.Dir)
	if err != nil {
		return nil, fmt.Errorf("data directory %s: %w", n.Dir, err)
	}
	s := &NATSServer{how: n, store: filepath.Join(dir, "nats"), close: func() error { return nil }, share: share{
		name:        "nats",
		lockFile:    filepath.Join(dir, "nats.lock"),
		addressFile: filepath.Join(dir, "nats.url"),
		alive:       greets,
	}}
	lock, url, err := s.share.enter(ctx)
	if err != nil {
		return nil, err
	}
	if lock == nil {
		s.url = url
		return s, nil
	}
	if err := s.own(lock); err != nil {
		return nil, err
	}
	return s, nil
}

// TakeOver waits until the process that runs the server has ended, however it did, and then runs it here, at
// the same URL; where any free port will do, at the one that it had. It returns at once where this process
// runs it. An error says that it cannot be run here, that another process runs it elsewhere now, or that ctx
// has ended. Nothing but URL and Vacant may be called meanwhile.
func (s *NATSServer) TakeOver(ctx context.Context) error {
	if s.owned {
		return nil
	}
	lock, err := s.share.inherit(ctx, s.url)
	if err != nil {
		return err
	}
	before := s.url
	if s.how.Listen, err = samePort(s.how.Listen, before); err != nil {
		_ = lock.Close()
		return err
	}
	if err := s.own(lock); err != nil {
		return err
	}
	if s.url != before {
		return errors.Join(fmt.Errorf("nats was at %s, and is at another address here: %s", before, s.url), s.close())
	}
	return nil
}

// own runs the server with the held lock, and publishes where.
func (s *NATSServer) own(lock *os.File) error {
	ns, err := s.how.run(s.store)
	if err != nil {
		_ = lock.Close()
		return err
	}
	s.url, s.owned = clientURL(ns), true
	s.close = sync.OnceValue(func() error {
		s.share.withdraw()
		ns.Shutdown()
		ns.WaitForShutdown()
		return lock.Close()
	})
	if err := s.share.publish(s.url); err != nil {
		return errors.Join(err, s.close())
	}
	return nil
}

// URL is where clients connect to.
func (s *NATSServer) URL() string { return s.url }

// Owned tells whether this process runs it.
func (s *NATSServer) Owned() bool { return s.owned }

// Vacant tells whether nobody runs it any more, for the moment or for good: whether another process did which
// has ended, or is about to.
func (s *NATSServer) Vacant() bool { return !s.owned && s.share.vacant(s.url) }

// Close stops a server that this process runs and waits until it has stopped. It does nothing to one that
// another process runs, or when called again.
func (s *NATSServer) Close() error { return s.close() }

// run starts the server on a store and returns when it can be used. The caller holds the lock.
func (n NATS) run(store string) (*server.Server, error) {
	begun := time.Now()
	opts, err := n.options(store)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(store, 0o700); err != nil {
		return nil, fmt.Errorf("store of nats: %w", err)
	}
	ns, err := server.NewServer(opts)
	if err != nil {
		return nil, fmt.Errorf("nats on %s: %w", store, err)
	}
	log := &natsLog{log: n.Log}
	ns.SetLoggerV2(log, false, false, false)
	ns.Start()
	err = log.fault()
	if err == nil && !ns.ReadyForConnections(time.Minute) {
		err = errors.New("does not accept connections")
	}
	if err != nil {
		ns.Shutdown()
		ns.WaitForShutdown()
		if errors.Is(err, syscall.EADDRINUSE) {
			return nil, &TakenError{Address: n.Listen, Err: err}
		}
		return nil, fmt.Errorf("nats on %s: %w", store, err)
	}
	n.Log.Debug().Str("url", clientURL(ns)).Dur("elapsed", time.Since(begun)).Msg("nats started")
	return ns, nil
}

func (n NATS) options(store string) (*server.Options, error) {
	listen := n.Listen
	if listen == "" {
		listen = "127.0.0.1:0"
	}
	host, portText, err := net.SplitHostPort(listen)
	if err != nil {
		return nil, fmt.Errorf("address for nats: %w", err)
	}
	port, err := strconv.Atoi(portText)
	if err != nil || port < -1 || port > 65535 {
		return nil, fmt.Errorf("address for nats: %s: port must be a number from 0 to 65535", listen)
	}
	if port == 0 {
		port = server.RANDOM_PORT
	}
	return &server.Options{
		ServerName:             "poller",
		Host:                   host,
		Port:                   port,
		NoSigs:                 true,
		JetStream:              true,
		StoreDir:               store,
		SyncAlways:             !n.Throwaway,
		DisableJetStreamBanner: true,
	}, nil
}

// samePort is listen, with the port of a URL where any free one will do.
func samePort(listen, url string) (string, error) {
	if listen == "" {
		listen = "127.0.0.1:0"
	}
	host, port, err := net.SplitHostPort(listen)
	if err != nil || port != "0" && port != "-1" {
		return listen, err
	}
	_, port, err = net.SplitHostPort(strings.TrimPrefix(url, "nats://"))
	return net.JoinHostPort(host, port), err
}

// clientURL is where clients on this machine reach the server. One that listens everywhere is reached by
// the loopback address.
func clientURL(ns *server.Server) string {
	addr, ok := ns.Addr().(*net.TCPAddr)
	if !ok {
		return ns.ClientURL()
	}
	host := addr.IP.String()
	if addr.IP.IsUnspecified() {
		host = "127.0.0.1"
	}
	return "nats://" + net.JoinHostPort(host, strconv.Itoa(addr.Port))
}

// greets tells whether a NATS server answers at a URL.
func greets(ctx context.Context, url string) error {
	conn, err := nats.Connect(url, nats.Timeout(aliveWithin), nats.NoReconnect())
	if err != nil {
		return err
	}
	defer conn.Close()
	return conn.FlushWithContext(ctx)
}
