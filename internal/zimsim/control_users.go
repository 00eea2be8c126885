package zimsim

import (
	"fmt"
	"net/http"
	"time"
)

// truthBody is everybody, or the users asked for, at one instant.
type truthBody struct {
	At    time.Time        `json:"at"`
	Users map[string]State `json:"users"`
}

func (s *Server) controlTruth(r *http.Request) (any, error) {
	a, err := s.controlApp(r)
	if err != nil {
		return nil, err
	}
	if !r.URL.Query().Has("user") {
		at, users := a.Truth()
		return truthBody{at, users}, nil
	}
	user := r.URL.Query().Get("user")
	state, known := a.State(user)
	return map[string]any{"user": user, "state": state, "status": state.Status(), "detail": state.Detail(), "known": known}, nil
}

func (s *Server) controlChanges(r *http.Request) (any, error) {
	a, err := s.controlApp(r)
	if err != nil {
		return nil, err
	}
	since, err := number(r, "since")
	if err != nil {
		return nil, err
	}
	changes, dropped := a.Changes(since)
	if changes == nil {
		changes = []Change{}
	}
	return map[string]any{"changes": changes, "dropped": dropped}, nil
}

func (s *Server) controlUser(r *http.Request) (any, error) {
	var body struct {
		State *State `json:"state"`
	}
	if err := readBody(r, &body); err != nil {
		return nil, err
	}
	if body.State == nil {
		return nil, fmt.Errorf("user %q: no state", r.PathValue("id"))
	}
	return s.controlSet(r, map[string]State{r.PathValue("id"): *body.State})
}

func (s *Server) controlUsers(r *http.Request) (any, error) {
	var body map[string]State
	if err := readBody(r, &body); err != nil {
		return nil, err
	}
	return s.controlSet(r, body)
}

func (s *Server) controlSet(r *http.Request, states map[string]State) (any, error) {
	a, err := s.controlApp(r)
	if err != nil {
		return nil, err
	}
	at, err := a.SetAll(states)
	if err != nil {
		return nil, err
	}
	return map[string]any{"at": at, "users": len(states)}, nil
}
