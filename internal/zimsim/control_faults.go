package zimsim

import (
	"bytes"
	"encoding/json"
	"net/http"
)

// readFaults takes a list, a single fault, or an object with the command line's form: {"faults": "hangx1"}.
func readFaults(r *http.Request) ([]Fault, error) {
	var raw json.RawMessage
	if err := readBody(r, &raw); err != nil {
		return nil, err
	}
	if bytes.HasPrefix(bytes.TrimSpace(raw), []byte("[")) {
		var list []Fault
		err := decodeStrict(raw, &list)
		return list, err
	}
	var line struct {
		Faults *string `json:"faults"`
	}
	if err := decodeStrict(raw, &line); err == nil && line.Faults != nil {
		return ParseFaults(*line.Faults)
	}
	var one Fault
	err := decodeStrict(raw, &one)
	return []Fault{one}, err
}

func (s *Server) controlAddFaults(r *http.Request) (any, error) {
	list, err := readFaults(r)
	if err != nil {
		return nil, err
	}
	if err := s.AddFaults(list...); err != nil {
		return nil, err
	}
	return s.Faults(), nil
}

// controlSetFaults checks the new list before it takes the old one away.
func (s *Server) controlSetFaults(r *http.Request) (any, error) {
	list, err := readFaults(r)
	if err != nil {
		return nil, err
	}
	for _, f := range list {
		if _, err := f.withDefaults(); err != nil {
			return nil, err
		}
	}
	s.ClearFaults()
	if err := s.AddFaults(list...); err != nil {
		return nil, err
	}
	return s.Faults(), nil
}

func (s *Server) controlClearFaults(r *http.Request) (any, error) {
	var kinds []Kind
	for _, k := range r.URL.Query()["kind"] {
		kinds = append(kinds, Kind(k))
	}
	s.ClearFaults(kinds...)
	return s.Faults(), nil
}
