package status

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"
)

// exchange sends a request as it is written, over a connection of its own, and returns the answer and its body.
func exchange(t *testing.T, addr, request string) (*http.Response, string) {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(time.Minute))
	if _, err := io.WriteString(conn, request); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatalf("%.60q: %v", request, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(body)
}

// Nothing can be changed over HTTP: there are two methods, and three pages to read.
func TestNothingCanBeChanged(t *testing.T) {
	checks := NewChecks()
	checks.Set("database", nil)
	s := start(t, Handler(NewMetrics("v1"), checks, nil))
	for _, path := range []string{"/", "/metrics", "/readyz", "/healthz", "/debug/pprof/", "/debug/pprof/cmdline", "/debug/vars", "/-/quit", "/../metrics"} {
		known := path == "/metrics" || path == "/readyz" || path == "/healthz"
		for _, method := range []string{"POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "PURGE", "get"} {
			resp, body := exchange(t, s.addr, method+" "+path+" HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}")
			if known && resp.StatusCode != http.StatusMethodNotAllowed || resp.StatusCode < 400 {
				t.Errorf("%s %s: got %s %.80q, want a refusal", method, path, resp.Status, body)
			}
			if resp.Header.Get("Access-Control-Allow-Origin") != "" {
				t.Errorf("%s %s: a page from elsewhere is let in", method, path)
			}
		}
		resp, _ := exchange(t, s.addr, "GET "+path+" HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
		if !known && resp.StatusCode != http.StatusNotFound {
			t.Errorf("GET %s: got %s, want that there is no such page", path, resp.Status)
		}
	}
	if _, said := checks.Judge(); len(said) != 1 || said[0].Err != nil {
		t.Errorf("the checks are now %v", said)
	}
}

// A head without end is given up, in length and in time, also while others are served.
func TestEndlessHeads(t *testing.T) {
	s := start(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("a request was begun") }))
	long := "GET / HTTP/1.1\r\nHost: a\r\n" + strings.Repeat("X: "+strings.Repeat("x", 1000)+"\r\n", 40)
	if resp, _ := exchange(t, s.addr, long); resp.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("40 kB of head: got %s, want 431", resp.Status)
	}
	conn, err := net.Dial("tcp", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\n"); err != nil {
		t.Fatal(err)
	}
	drip := time.NewTicker(500 * time.Millisecond)
	defer drip.Stop()
	closed := make(chan error, 1)
	conn.SetReadDeadline(time.Now().Add(time.Minute))
	go func() {
		_, err := io.Copy(io.Discard, conn)
		closed <- err
	}()
	for {
		select {
		case err := <-closed:
			if errors.Is(err, os.ErrDeadlineExceeded) {
				t.Error("a head that drips is still listened to after a minute")
			}
			return
		case <-drip.C:
			_, _ = io.WriteString(conn, "X: y\r\n") // fails when it is closed, which closed tells
		}
	}
}

// Whatever name the server is called by, it answers: in a cluster it has many, and it tells no secret and takes no order.
func TestEveryHostIsAnswered(t *testing.T) {
	checks := NewChecks()
	checks.Set("database", nil)
	s := start(t, Handler(NewMetrics("v1"), checks, nil))
	for _, host := range []string{"localhost", "poller.presence.svc", "attacker.example", "[::1]:8080"} {
		resp, _ := exchange(t, s.addr, "GET /readyz HTTP/1.1\r\nHost: "+host+"\r\nOrigin: http://attacker.example\r\nConnection: close\r\n\r\n")
		if resp.StatusCode != http.StatusOK || resp.Header.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("as %s: got %s, allowing %q", host, resp.Status, resp.Header.Get("Access-Control-Allow-Origin"))
		}
	}
}
