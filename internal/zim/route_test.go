package zim

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/zim-presence/poller/internal/local/localtest"
	"github.com/zim-presence/poller/internal/zimsim"
)

// secureServer is a server whose certificate an authority has signed, which counts the requests that it gets.
func secureServer(t *testing.T, authority *localtest.Authority, c localtest.Certificate) (server *httptest.Server, requests *int) {
	t.Helper()
	requests = new(int)
	server = httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { *requests++ }))
	cert, err := tls.X509KeyPair(authority.Issue(c))
	if err != nil {
		t.Fatal(err)
	}
	server.TLS = &tls.Config{Certificates: []tls.Certificate{cert}}
	server.StartTLS()
	t.Cleanup(func() {
		server.Close()
		if *requests > 0 {
			t.Errorf("%d requests were sent", *requests)
		}
	})
	return server, requests
}

// trusting is a client that trusts an authority.
func trusting(authority *localtest.Authority) func(*Config) {
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(authority.PEM())
	return func(c *Config) { c.TLS = &tls.Config{RootCAs: pool} }
}

// The way is gone step by step, without a request, and the step that fails is named.
func TestTrace(t *testing.T) {
	authority := localtest.NewAuthority(t)
	good, _ := secureServer(t, authority, localtest.Certificate{Name: "zim", Hosts: []string{"127.0.0.1", "localhost"}})
	expired, _ := secureServer(t, authority, localtest.Certificate{Name: "zim", Hosts: []string{"127.0.0.1"}, Expired: true})
	other, _ := secureServer(t, authority, localtest.Certificate{Name: "zim", Hosts: []string{"zim.example"}})
	r := newRig(t, good.URL, trusting(authority)).Trace(t.Context())
	if r.Err != nil || r.TLS != "TLS 1.3" || time.Until(r.Until) < 30*time.Minute || time.Until(r.Until) > time.Hour || r.Address != strings.TrimPrefix(good.URL, "https://") || r.Took[StageTLS] <= 0 {
		t.Errorf("%+v", r)
	}
	_, port, _ := net.SplitHostPort(r.Address)
	if r := newRig(t, "https://localhost:"+port, trusting(authority)).Trace(t.Context()); r.Err != nil || len(r.Addresses) == 0 || r.Took[StageName] <= 0 {
		t.Errorf("by name: %+v", r)
	}
	var invalid x509.CertificateInvalidError
	if r := newRig(t, expired.URL, trusting(authority)).Trace(t.Context()); r.Failed != StageTLS || !errors.As(r.Err, &invalid) || invalid.Reason != x509.Expired || r.Took[StageConnect] <= 0 {
		t.Errorf("an expired certificate: %+v", r)
	}
	var name x509.HostnameError
	if r := newRig(t, other.URL, trusting(authority)).Trace(t.Context()); r.Failed != StageTLS || !errors.As(r.Err, &name) {
		t.Errorf("a certificate of another name: %+v", r)
	}
	var dns *net.DNSError
	if r := newRig(t, "https://no-such-host.invalid").Trace(t.Context()); r.Failed != StageName || !errors.As(r.Err, &dns) {
		t.Errorf("a name that does not exist: %+v", r)
	}
	hole := localtest.NewProxy(t, "tcp", strings.TrimPrefix(good.URL, "https://"))
	hole.Stall(localtest.ToServer)
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if r := newRig(t, "https://"+hole.Addr(), trusting(authority)).Trace(ctx); r.Failed != StageTLS || !errors.Is(r.Err, context.DeadlineExceeded) {
		t.Errorf("a server that says nothing: %+v", r)
	}
}

// A proxy is told, and whether it lets ZIM through.
func TestTraceThroughProxy(t *testing.T) {
	authority := localtest.NewAuthority(t)
	good, _ := secureServer(t, authority, localtest.Certificate{Name: "zim", Hosts: []string{"zim.example"}})
	for _, lets := range []bool{true, false} {
		proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method != http.MethodConnect || r.Host != "zim.example:443" || !lets {
				w.WriteHeader(http.StatusForbidden)
				return
			}
			tunnel(t, w, strings.TrimPrefix(good.URL, "https://"))
		}))
		t.Cleanup(proxy.Close)
		rig := newRig(t, "https://zim.example:443", trusting(authority))
		rig.course().conns.transport.Proxy = func(*http.Request) (*url.URL, error) {
			return url.Parse(strings.Replace(proxy.URL, "http://", "http://user:hidden@", 1))
		}
		r := rig.Trace(t.Context())
		if r.Proxy == nil || r.Proxy.String() != proxy.URL || r.Took[StageConnect] <= 0 {
			t.Errorf("through a proxy: %+v", r)
		}
		if lets && (r.Err != nil || r.TLS == "" || r.Took[StageTunnel] <= 0) || !lets && (r.Failed != StageTunnel || !strings.Contains(r.Err.Error(), "Forbidden")) {
			t.Errorf("a proxy that lets through (%v): %+v", lets, r)
		}
	}
}

// tunnel joins a client with a server.
func tunnel(t *testing.T, w http.ResponseWriter, server string) {
	client, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		t.Error(err)
		return
	}
	defer client.Close()
	conn, err := net.Dial("tcp", server)
	if err != nil {
		t.Error(err)
		return
	}
	defer conn.Close()
	_, _ = io.WriteString(client, "HTTP/1.1 200 OK\r\n\r\n")
	go func() { _, _ = io.Copy(conn, client); _ = conn.Close() }()
	_, _ = io.Copy(client, conn) // until either has closed
}

// One try is one request in one slot, whatever comes of it, and says what to do.
func TestTry(t *testing.T) {
	if !SignsRight() {
		t.Error("not signed as the official vector says")
	}
	sim := zimsim.New(zimsim.Config{Apps: []zimsim.AppConfig{{ID: testApp, Secret: testSecret}}})
	if err := sim.Start(t.Context(), "127.0.0.1:0", ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(sim.Close)
	r := newRig(t, sim.URL())
	got, err := r.Try(t.Context(), "nobody")
	if err != nil || got.Err != nil || got.Code != codeNoSession || got.RequestID == "" || !got.Dated || got.Ahead.Abs() > 2*time.Second || got.Mend != "" {
		t.Errorf("%+v, %v", got, err)
	}
	for _, fault := range []zimsim.Fault{
		{Kind: zimsim.HTTPError, Status: 503}, {Kind: zimsim.Code, Code: 1}, {Kind: zimsim.Code, Code: 7}, {Kind: zimsim.Code, Code: 100000005},
		{Kind: zimsim.Code, Code: 100000001}, {Kind: zimsim.CutBody}, {Kind: zimsim.Truncated}, {Kind: zimsim.Code, Code: 424242},
	} {
		before := sim.App(testApp).Stats().Arrivals
		if err := sim.AddFaults(fault); err != nil {
			t.Fatal(err)
		}
		got, err := newRig(t, sim.URL()).Try(t.Context(), "nobody")
		sim.ClearFaults()
		var failure *Error
		if n := sim.App(testApp).Stats().Arrivals - before; err != nil || !errors.As(got.Err, &failure) || got.Mend == "" || n != 1 {
			t.Errorf("%s %d: %+v, %v, with %d requests", fault.Kind, fault.Code, got, err, n)
		}
	}
	if n := sim.App(testApp).Stats().Arrivals; n != 9 || sim.App(testApp).Stats().RepeatedNonces > 0 {
		t.Errorf("%d requests, want 9", n)
	}
}
