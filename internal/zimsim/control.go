package zimsim

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"time"
)

// Control is the HTTP interface for tests and operators; the package comment describes it.
func (s *Server) Control() http.Handler {
	mux := http.NewServeMux()
	for pattern, serve := range map[string]func(*http.Request) (any, error){
		"GET /truth":      s.controlTruth,
		"GET /changes":    s.controlChanges,
		"PUT /users/{id}": s.controlUser,
		"POST /users":     s.controlUsers,
		"GET /faults":     func(*http.Request) (any, error) { return s.Faults(), nil },
		"PUT /faults":     s.controlSetFaults,
		"POST /faults":    s.controlAddFaults,
		"DELETE /faults":  s.controlClearFaults,
		"GET /stats":      s.controlStats,
		"GET /arrivals":   s.controlArrivals,
		"GET /rate":       s.controlRate,
		"PUT /rate":       s.controlSetRate,
		"GET /clock":      s.controlClock,
		"PUT /clock":      s.controlSetClock,
		"GET /apps":       s.controlApps,
		"POST /apps":      s.controlAddApp,
		"GET /callbacks":  s.controlCallbacks,
		"PUT /callbacks":  s.controlSetCallbacks,
	} {
		mux.Handle(pattern, controlled(serve))
	}
	return mux
}

// controlled answers with the value as JSON, or with 400 and the reason.
func controlled(serve func(*http.Request) (any, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		value, err := serve(r)
		w.Header().Set("Content-Type", "application/json")
		if err != nil {
			w.WriteHeader(http.StatusBadRequest)
			value = map[string]string{"error": err.Error()}
		}
		_ = json.NewEncoder(w).Encode(value) // a client that left needs no answer
	})
}

// readBody decodes the whole body, strictly.
func readBody(r *http.Request, value any) error {
	text, err := io.ReadAll(r.Body)
	if err != nil {
		return fmt.Errorf("body: %w", err)
	}
	return decodeStrict(text, value)
}

// decodeStrict refuses unknown keys and anything behind the value.
func decodeStrict(text []byte, value any) error {
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(value); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("something stands behind the json value")
	}
	return nil
}

// controlApp is the app that the request means.
func (s *Server) controlApp(r *http.Request) (*App, error) {
	text := r.URL.Query().Get("app")
	id, err := strconv.ParseUint(text, 10, 32)
	if text != "" && err != nil {
		return nil, fmt.Errorf("app: %w", err)
	}
	a := s.App(uint32(id))
	if a == nil && text == "" {
		return nil, errors.New("app: name one with ?app=")
	}
	if a == nil {
		return nil, fmt.Errorf("app %d: there is none", id)
	}
	return a, nil
}

func (s *Server) controlAddApp(r *http.Request) (any, error) {
	var c AppConfig
	if err := readBody(r, &c); err != nil {
		return nil, err
	}
	a, err := s.AddApp(c)
	if err != nil {
		return nil, err
	}
	return a.Stats(), nil
}

func (s *Server) controlApps(*http.Request) (any, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return map[string]any{"apps": slices.Sorted(maps.Keys(s.apps)), "strangers": s.Strangers()}, nil
}

func (s *Server) controlStats(r *http.Request) (any, error) {
	a, err := s.controlApp(r)
	if err != nil {
		return nil, err
	}
	return a.Stats(), nil
}

func (s *Server) controlArrivals(r *http.Request) (any, error) {
	a, err := s.controlApp(r)
	if err != nil {
		return nil, err
	}
	since, err := number(r, "since")
	if err != nil {
		return nil, err
	}
	offsets, first := a.Arrivals(since)
	if offsets == nil {
		offsets = []time.Duration{}
	}
	return map[string]any{"first": first, "offsets_ns": offsets}, nil
}

// number reads a query parameter that counts something; absent is 0.
func number(r *http.Request, key string) (uint64, error) {
	text := r.URL.Query().Get(key)
	if text == "" {
		return 0, nil
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", key, err)
	}
	return n, nil
}

type rateBody struct {
	Rate int `json:"rate"`
}

func (s *Server) controlRate(r *http.Request) (any, error) {
	a, err := s.controlApp(r)
	if err != nil {
		return nil, err
	}
	return rateBody{a.Stats().Rate}, nil
}

func (s *Server) controlSetRate(r *http.Request) (any, error) {
	a, err := s.controlApp(r)
	if err != nil {
		return nil, err
	}
	var body rateBody
	if err := readBody(r, &body); err != nil {
		return nil, err
	}
	a.SetRate(body.Rate)
	return rateBody{a.Stats().Rate}, nil
}

type clockBody struct {
	Now  time.Time `json:"now"`
	Skew string    `json:"skew"`
}

func (s *Server) controlClock(*http.Request) (any, error) {
	return clockBody{s.clock.at(s.clock.elapsed()), s.Skew().String()}, nil
}

func (s *Server) controlSetClock(r *http.Request) (any, error) {
	var body clockBody
	if err := readBody(r, &body); err != nil {
		return nil, err
	}
	skew, err := time.ParseDuration(body.Skew)
	if err != nil {
		return nil, err
	}
	s.SetSkew(skew)
	return s.controlClock(r)
}
