package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/zim-presence/poller/internal/status"
)

const (
	daemonWithin = 5 * time.Second
	mostStory    = 4 << 20 // bytes of an answer
)

// daemon is the address of the http listener that is asked; empty where there is none.
func (c *explainCmd) daemon(cfg config) (string, error) { return daemonURL(c.From, cfg) }

// daemonURL is the address of a daemon's http listener: what --from says, or else that of the configuration; empty
// where there is none.
func daemonURL(from string, cfg config) (string, error) {
	if from == "" {
		return listenerURL(cfg.HTTP.Listen), nil
	}
	text := from
	if !strings.Contains(text, "://") {
		text = "http://" + text
	}
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return "", usagef("--from %q is no address of an http listener, such as http://10.0.0.7:8080", from)
	}
	return strings.TrimSuffix(u.String(), "/"), nil
}

// listenerURL is how http.listen is reached from this machine; empty where it cannot be.
func listenerURL(listen string) string {
	host, port, err := net.SplitHostPort(listen)
	if err != nil || port == "0" {
		return ""
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "localhost"
	}
	return "http://" + net.JoinHostPort(host, port)
}

// askDaemon asks a daemon what it has in memory of a user. What goes wrong is told, and no error.
func askDaemon(ctx context.Context, where string, app uint32, user string) explainDaemon {
	d := explainDaemon{URL: where}
	if where == "" {
		d.Why = "http.listen gives no address at which to ask; --from does"
		return d
	}
	story, err := fetchStory(ctx, where, app, user)
	if err != nil {
		d.Why = err.Error()
		return d
	}
	d.Story = story
	return d
}

func fetchStory(ctx context.Context, where string, app uint32, user string) (*daemonStory, error) {
	ctx, cancel := context.WithTimeout(ctx, daemonWithin)
	defer cancel()
	query := url.Values{"app": {strconv.FormatUint(uint64(app), 10)}, "user": {user}}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, where+"/explain?"+query.Encode(), http.NoBody)
	if err != nil {
		return nil, err
	}
	r.Header.Set(status.ExplainHeader, "explain")
	client := http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	resp, err := client.Do(r)
	if err != nil {
		return nil, unwrapURL(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, mostStory))
	if err != nil {
		return nil, unwrapURL(err)
	}
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("it answers %d: %.200s", resp.StatusCode, strings.ToValidUTF8(strings.TrimSpace(string(body)), "?"))
	}
	story := &daemonStory{}
	if err := json.Unmarshal(body, story); err != nil || story.Owner == "" {
		return nil, fmt.Errorf("what answers at %s is no poller", where)
	}
	return story, nil
}

// unwrapURL leaves out the address, which names the user.
func unwrapURL(err error) error {
	if u, ok := err.(*url.Error); ok { //nolint:errorlint // as the client returns it
		return u.Err
	}
	return err
}
