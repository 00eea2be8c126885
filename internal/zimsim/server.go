package zimsim

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Config is a simulated ZIM. Its zero value has no app yet and listens in the clear.
type Config struct {
	Apps      []AppConfig
	Seed      uint64 // of everything that is drawn: population, order of answers, faults
	Faults    []Fault
	Unsettled Unsettled
	Skew      time.Duration // what the gateway's clock is ahead by, in Date and in the judgement of Timestamp; may be negative
	TLS       bool          // the gateway speaks TLS with a certificate made at start, and HTTP/2 to who wants it
	HTTP1     bool          // with TLS, HTTP/1.1 only
}

// Server is a simulated ZIM, usable as two handlers or, by Start, as two listening servers.
type Server struct {
	config    Config
	words     words // of config, as forms
	forms     []string
	broken    error // of the configuration; told by Start
	clock     clock
	pads      sync.Pool
	skew      atomic.Int64
	strangers atomic.Uint64 // requests that name no known app
	faults    faults
	inside    *crowd // requests in the gateway, and connections
	closing   chan struct{}
	close     sync.Once

	mu   sync.RWMutex // guards apps
	apps map[uint32]*App

	servers    []*http.Server // of Start, as all below
	serving    sync.WaitGroup
	url        string
	controlURL string
	pool       *x509.CertPool
}

// New makes a simulator whose time starts now. What is wrong with the configuration is told by Start.
func New(c Config) *Server {
	s := &Server{config: c, clock: startClock(), inside: newCrowd(), closing: make(chan struct{}), apps: map[uint32]*App{}}
	s.pads.New = func() any { return &pad{} }
	s.skew.Store(int64(c.Skew))
	var err error
	s.config.Unsettled, err = c.Unsettled.withDefaults()
	s.words, _ = wordsIn(s.config.Unsettled.StatusCase)
	s.forms = emptyForms(s.config.Unsettled.EmptyList)
	s.broken = errors.Join(s.broken, err, s.faults.add(c.Faults))
	for _, a := range c.Apps {
		_, err := s.AddApp(a)
		s.broken = errors.Join(s.broken, err)
	}
	return s
}

// AddApp adds an app; its id must be new.
func (s *Server) AddApp(c AppConfig) (*App, error) {
	a, err := newApp(c, s.config.Seed, s.clock)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.apps[c.ID] != nil {
		return nil, fmt.Errorf("app %d: there is one already", c.ID)
	}
	s.apps[c.ID] = a
	return a, nil
}

// App is the app of that id, or, for 0, the only one there is; nil when there is none such.
func (s *Server) App(id uint32) *App {
	if id != 0 {
		return s.find(id)
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	if len(s.apps) != 1 {
		return nil
	}
	for _, a := range s.apps {
		return a
	}
	return nil
}

func (s *Server) find(id uint32) *App {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.apps[id]
}

// Skew is what the gateway's clock is ahead by.
func (s *Server) Skew() time.Duration { return time.Duration(s.skew.Load()) }

// SetSkew puts the gateway's clock ahead, or for a negative skew behind. The ground truth keeps the true time.
func (s *Server) SetSkew(skew time.Duration) { s.skew.Store(int64(skew)) }

func (s *Server) now() time.Time { return s.clock.at(s.clock.elapsed()).Add(s.Skew()) }

// Strangers is how many requests named no known app; no app's books have them.
func (s *Server) Strangers() uint64 { return s.strangers.Load() }

// AddFaults sets further faults behind those that are set; all of them or, with an error, none.
func (s *Server) AddFaults(some ...Fault) error { return s.faults.add(some) }

// ClearFaults takes away all faults, or those of the given kinds. Requests that hang in them are cut.
func (s *Server) ClearFaults(kinds ...Kind) {
	s.faults.clear(func(f Fault) bool { return len(kinds) == 0 || slices.Contains(kinds, f.Kind) })
}

// Faults lists the faults that can still strike; Count is what is left of it.
func (s *Server) Faults() []Fault { return s.faults.set() }
