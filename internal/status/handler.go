package status

import (
	"encoding/json"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Handler serves /metrics, /healthz, /readyz and, unless explain is nil, /explain, to
// GET and HEAD alone.
func Handler(m *Metrics, c *Checks, explain Explain) http.Handler {
	p := pages{
		"/metrics": promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{}),
		"/healthz": http.HandlerFunc(c.health),
		"/readyz":  http.HandlerFunc(c.readiness),
	}
	if explain != nil {
		p["/explain"] = newExplaining(explain)
	}
	return p
}

// pages are handlers by exact path. There are no others, and no redirects.
type pages map[string]http.Handler

func (p pages) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Content-Type-Options", "nosniff")
	page, known := p[r.URL.Path]
	switch {
	case !known:
		http.Error(w, "not found", http.StatusNotFound)
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		h.Set("Allow", "GET, HEAD")
		http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
	default:
		page.ServeHTTP(w, r)
	}
}

// health answers 200 while the process turns, else 503 and why.
func (c *Checks) health(w http.ResponseWriter, _ *http.Request) {
	if err := c.turning(time.Now()); err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = w.Write([]byte("ok\n")) // whoever asked may have gone away
}

// The JSON of /readyz; other programs read it.
type (
	wireReadiness struct {
		Ready  bool        `json:"ready"`
		Checks []wireCheck `json:"checks"`
	}
	wireCheck struct {
		Name  string    `json:"name"`
		OK    bool      `json:"ok"`
		Error string    `json:"error"` // empty when ok
		Mend  string    `json:"mend"`  // what to do about it; may be empty
		Note  string    `json:"note"`  // no fault; most often empty
		Since time.Time `json:"since"`
	}
)

// ShowBy has /readyz show the texts of checks as f returns them, for where somebody
// looks who is not to see all of them. The log has them in full. It is called from
// several goroutines.
func (c *Checks) ShowBy(f func(text string) string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.show = f
}

// readiness answers 200 when ready, else 503, and all checks either way.
func (c *Checks) readiness(w http.ResponseWriter, _ *http.Request) {
	ready, checks := c.Judge()
	c.mu.Lock()
	show := c.show
	c.mu.Unlock()
	body := wireReadiness{Ready: ready, Checks: make([]wireCheck, len(checks))}
	for i, k := range checks {
		body.Checks[i] = wireCheck{Name: k.Name, OK: k.Err == nil, Mend: show(k.Mend), Note: show(k.Note), Since: k.Since}
		if k.Err != nil {
			body.Checks[i].Error = show(k.Err.Error())
		}
	}
	w.Header().Set("Content-Type", "application/json")
	if !ready {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	_ = json.NewEncoder(w).Encode(body) // whoever asked may have gone away
}
