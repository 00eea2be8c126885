package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"syscall"
)

// mostReadiness bounds what is read of /readyz, in bytes.
const mostReadiness = 1 << 20

// readiness is the JSON of /readyz, as far as it is needed.
type readiness struct {
	Ready  *bool `json:"ready"`
	Checks []struct {
		Name  string `json:"name"`
		OK    bool   `json:"ok"`
		Error string `json:"error"`
		Mend  string `json:"mend"`
	} `json:"checks"`
}

// tryDaemon asks the daemon on this machine, or the one that is named, how it is.
func (d *doctor) tryDaemon(ctx context.Context, c *chart) {
	if d.from == "" {
		c.untried("readiness", "http.listen gives no address at which to ask; --from does")
		return
	}
	ctx, cancel := d.within(ctx)
	defer cancel()
	r, err := fetchReadiness(ctx, d.from)
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		c.untried("readiness", "no daemon runs at %s", d.from)
	case err != nil:
		c.warn("readiness", "see what listens there; --from names another daemon", "%s: %s", d.from, inShort(errOf(ctx, err)))
	default:
		judgeReadiness(c, d.from, r)
	}
}

func judgeReadiness(c *chart, where string, r readiness) {
	red := 0
	for _, check := range r.Checks {
		if !check.OK {
			red++
			mend := check.Mend
			if mend == "" {
				mend = "see Readiness, and the mend in docs/operations.md"
			}
			c.fault(check.Name, mend, "%s", check.Error)
		}
	}
	if red == 0 {
		c.ok("readiness", "%s is ready: %s, all green", where, plural(int64(len(r.Checks)), "check"))
	}
}

func fetchReadiness(ctx context.Context, where string) (r readiness, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, where+"/readyz", http.NoBody)
	if err != nil {
		return r, err
	}
	client := http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	resp, err := client.Do(request)
	if err != nil {
		return r, unwrapURL(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, mostReadiness))
	if err != nil {
		return r, unwrapURL(err)
	}
	if json.Unmarshal(body, &r) != nil || r.Ready == nil {
		return r, fmt.Errorf("what answers there is no poller (HTTP %d)", resp.StatusCode)
	}
	return r, nil
}
