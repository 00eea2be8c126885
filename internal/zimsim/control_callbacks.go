package zimsim

import "net/http"

// callbacksBody shows everything but the secret.
type callbacksBody struct {
	Callbacks
	Stats CallbackStats `json:"stats"`
}

func (s *Server) controlCallbacks(r *http.Request) (any, error) {
	a, err := s.controlApp(r)
	if err != nil {
		return nil, err
	}
	set, stats := a.Callbacks()
	set.Secret = ""
	return callbacksBody{set, stats}, nil
}

// controlSetCallbacks keeps the url and the secret that were set, where the body has none.
func (s *Server) controlSetCallbacks(r *http.Request) (any, error) {
	a, err := s.controlApp(r)
	if err != nil {
		return nil, err
	}
	var body Callbacks
	was, _ := a.Callbacks()
	body.URL, body.Secret = was.URL, was.Secret
	if err := readBody(r, &body); err != nil {
		return nil, err
	}
	if err := a.SetCallbacks(body); err != nil {
		return nil, err
	}
	return s.controlCallbacks(r)
}
