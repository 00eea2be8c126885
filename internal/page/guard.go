package page

import (
	"errors"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
)

// guard keeps web pages of others from reading here through somebody's browser. By
// DNS rebinding such a page has its own name lead to this machine; the browser then
// takes what is here for the page's own. It sends that name along, so only names are
// answered that nobody else can have: addresses, those of this machine, and those
// that the operator has given.
type guard struct{ names []string }

// newGuard returns a guard that answers to names, in whichever case.
func newGuard(names []string) guard {
	g := guard{}
	for _, name := range names {
		g.names = append(g.names, plain(name))
	}
	return g
}

// host says why a request is refused for the name that it was sent to.
func (g guard) host(r *http.Request) error {
	host := r.Host
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = plain(host)
	if _, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")); err == nil {
		return nil
	}
	if host == "localhost" || strings.HasSuffix(host, ".localhost") || slices.Contains(g.names, host) {
		return nil
	}
	return errors.New("the status page does not answer to this name: open it by its address, or add the name to http.hosts (POLLER_HTTP_HOSTS)")
}

// plain is a name as it is compared.
func plain(name string) string { return strings.ToLower(strings.TrimSuffix(name, ".")) }

// site says why a request for data is refused for the page that has it sent. Browsers
// say so, of other pages, in one of two ways; other programs say nothing.
func (g guard) site(r *http.Request) error {
	refused := errors.New("this is for the status page alone")
	switch r.Header.Get("Sec-Fetch-Site") {
	case "", "same-origin", "none":
	default:
		return refused
	}
	if origin := r.Header.Get("Origin"); origin != "" {
		if from, err := url.Parse(origin); err != nil || !strings.EqualFold(from.Host, r.Host) {
			return refused
		}
	}
	return nil
}
