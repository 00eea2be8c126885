package status

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"
)

// server is a Serve that runs.
type server struct {
	addr string
	stop func()
	done <-chan error
}

// start runs Serve on a port of its choice. What is not stopped is when the test ends.
func start(t *testing.T, h http.Handler) server {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	addr, done, gone := make(chan string, 1), make(chan error, 1), make(chan struct{})
	go func() {
		defer close(gone)
		done <- Serve(ctx, "127.0.0.1:0", h, func(a string) { addr <- a })
	}()
	t.Cleanup(func() { cancel(); <-gone })
	select {
	case a := <-addr:
		return server{a, cancel, done}
	case err := <-done:
		t.Fatalf("Serve returned %v", err)
		return server{}
	}
}

// get asks over a connection of its own.
func get(t *testing.T, url string) (int, string) {
	t.Helper()
	transport := &http.Transport{DisableKeepAlives: true}
	defer transport.CloseIdleConnections()
	r, err := (&http.Client{Transport: transport}).Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	text, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return r.StatusCode, string(text)
}

func TestServe(t *testing.T) {
	checks := NewChecks()
	checks.Set("database", nil)
	s := start(t, Handler(NewMetrics("v1"), checks, nil))
	if code, text := get(t, "http://"+s.addr+"/healthz"); code != 503 {
		t.Errorf("/healthz before Run: %d %q", code, text)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ran := make(chan struct{})
	go func() { checks.Run(ctx, zerolog.Nop()); close(ran) }()
	for code := 0; code != 200; {
		code, _ = get(t, "http://"+s.addr+"/healthz")
	}
	for path, want := range map[string]int{"/metrics": 200, "/readyz": 200, "/": 404, "/metrics/../readyz": 404} {
		if code, text := get(t, "http://"+s.addr+path); code != want {
			t.Errorf("%s: got %d %.100q, want %d", path, code, text, want)
		}
	}
	cancel()
	<-ran
	s.stop()
	if err := <-s.done; err != nil {
		t.Errorf("Serve returned %v", err)
	}
	if c, err := net.Dial("tcp", s.addr); err == nil {
		c.Close()
		t.Error("somebody still listens")
	}
}

func TestServeNamesTheAddressThatIsTaken(t *testing.T) {
	s := start(t, http.NotFoundHandler())
	for _, listen := range []string{s.addr, "127.0.0.1:no-such-port", "nonsense"} {
		err := Serve(t.Context(), listen, http.NotFoundHandler(), func(string) { t.Errorf("ready on %s", listen) })
		if err == nil || !strings.Contains(err.Error(), listen) {
			t.Errorf("Serve on %s returned %v, want an error that names it", listen, err)
		}
	}
}

func TestServeAskedToStopBeforehand(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := Serve(ctx, "127.0.0.1:0", http.NotFoundHandler(), nil); err != nil {
		t.Errorf("Serve returned %v", err)
	}
}

func TestServeLetsARequestFinish(t *testing.T) {
	begun, finish := make(chan struct{}), make(chan struct{})
	s := start(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		close(begun)
		<-finish
		io.WriteString(w, "done")
	}))
	text := make(chan string, 1)
	go func() {
		r, err := http.Get("http://" + s.addr)
		if err != nil {
			text <- err.Error()
			return
		}
		defer r.Body.Close()
		b, err := io.ReadAll(r.Body)
		text <- fmt.Sprint(string(b), err)
	}()
	<-begun
	s.stop()
	for err := error(nil); err == nil; { // until it listens no more
		var c net.Conn
		if c, err = net.Dial("tcp", s.addr); err == nil {
			c.Close()
		}
	}
	close(finish)
	if got := <-text; got != "done<nil>" {
		t.Errorf("the request in flight got %q", got)
	}
	if err := <-s.done; err != nil {
		t.Errorf("Serve returned %v", err)
	}
}

// Each of these clients would stay for ever; the connection of each is closed
// by the time that Serve returns.
func TestSlowClientsDoNotHoldTheEnd(t *testing.T) {
	large := strings.Repeat("x", 1<<20)
	for _, c := range []struct {
		name, says string
		begins     bool // whether that is a request
	}{
		{"silent", "", false},
		{"half a head", "GET / HTTP/1.1\r\nHost: a\r\n", false},
		{"half a body", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n1", true},
		{"reads nothing", "GET / HTTP/1.1\r\nHost: a\r\n\r\n", true},
		{"keeps alive", "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			begun := make(chan struct{})
			s := start(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				close(begun)
				for r.Method != http.MethodHead {
					if _, err := io.WriteString(w, large); err != nil {
						return
					}
				}
			}))
			conn, err := net.Dial("tcp", s.addr)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			if _, err := io.WriteString(conn, c.says); err != nil {
				t.Fatal(err)
			}
			if c.begins {
				<-begun
			}
			s.stop()
			if err := <-s.done; err != nil {
				t.Errorf("Serve returned %v", err)
			}
			// The server's own timeout would close one that reads nothing only long after this.
			conn.SetReadDeadline(time.Now().Add(15 * time.Second))
			if _, err := io.Copy(io.Discard, conn); errors.Is(err, os.ErrDeadlineExceeded) {
				t.Error("the connection is still open")
			}
		})
	}
}
