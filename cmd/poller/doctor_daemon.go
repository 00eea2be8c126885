package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"regexp"
	"strconv"
	"syscall"
	"time"
)

// mostFetched bounds what is read of a page, in bytes.
const mostFetched = 4 << 20

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
		d.skews = fetchSkews(ctx, d.from)
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
	body, status, err := fetch(ctx, where+"/readyz")
	if err != nil {
		return r, err
	}
	if json.Unmarshal(body, &r) != nil || r.Ready == nil {
		return r, fmt.Errorf("what answers there is no poller (HTTP %d)", status)
	}
	return r, nil
}

// fetchSkews asks how far the daemon's clock is ahead of ZIM's, by app. None where it does not say.
func fetchSkews(ctx context.Context, where string) map[uint32]time.Duration {
	body, _, err := fetch(ctx, where+"/metrics")
	if err != nil {
		return nil
	}
	skews := map[uint32]time.Duration{}
	for _, m := range regexp.MustCompile(`(?m)^poller_zim_clock_skew_seconds\{app="(\d+)"\} (\S+)$`).FindAllSubmatch(body, -1) {
		app, err := strconv.ParseUint(string(m[1]), 10, 32)
		seconds, bad := strconv.ParseFloat(string(m[2]), 64)
		if err == nil && bad == nil && !math.IsNaN(seconds) {
			skews[uint32(app)] = time.Duration(seconds * float64(time.Second))
		}
	}
	return skews
}

// fetch reads a page of a daemon.
func fetch(ctx context.Context, url string) (body []byte, status int, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return nil, 0, err
	}
	client := http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	resp, err := client.Do(request)
	if err != nil {
		return nil, 0, unwrapURL(err)
	}
	defer resp.Body.Close()
	if body, err = io.ReadAll(io.LimitReader(resp.Body, mostFetched)); err != nil {
		return nil, 0, unwrapURL(err)
	}
	return body, resp.StatusCode, nil
}
