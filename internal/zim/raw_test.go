package zim

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
)

// ending is how a raw server treats a connection around its nth request, read
// and not yet answered. It tells whether to answer, and how to go on.
type ending func(n int, c *net.TCPConn) (answer, closeAfter bool)

// rawServer answers everybody online and keeps books of every request line that
// reached it.
type rawServer struct {
	end      ending
	reply    func(ids []string) string
	listener net.Listener
	serving  sync.WaitGroup

	mu     sync.Mutex
	lines  map[string]int // by nonce
	total  int
	open   []net.Conn
	closed bool
}

func startRaw(t testing.TB, end ending) *rawServer {
	t.Helper()
	var config net.ListenConfig
	l, err := config.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if end == nil {
		end = func(int, *net.TCPConn) (bool, bool) { return true, false }
	}
	s := &rawServer{end: end, reply: everybodyOnline, listener: l, lines: map[string]int{}}
	s.serving.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			s.keep(c)
			s.serving.Go(func() { s.serve(c.(*net.TCPConn)) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		s.mu.Lock()
		s.closed = true
		for _, c := range s.open {
			c.Close()
		}
		s.mu.Unlock()
		s.serving.Wait()
	})
	return s
}

func (s *rawServer) keep(c net.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open = append(s.open, c)
	if s.closed {
		c.Close()
	}
}

func (s *rawServer) url() string { return "http://" + s.listener.Addr().String() }

func (s *rawServer) serve(c *net.TCPConn) {
	defer c.Close()
	in := bufio.NewReader(c)
	for n := 1; ; n++ {
		req, err := http.ReadRequest(in)
		if err != nil {
			return
		}
		q := req.URL.Query()
		s.mu.Lock()
		s.lines[q.Get("SignatureNonce")]++
		s.total++
		s.mu.Unlock()
		answer, closeAfter := s.end(n, c)
		if answer {
			fmt.Fprint(c, reply200(s.reply(q["UserId[]"])))
		}
		if closeAfter {
			return
		}
	}
}

func reply200(body string) string {
	return fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
}

func everybodyOnline(ids []string) string {
	var list []string
	for _, id := range ids {
		list = append(list, fmt.Sprintf(`{"UserId":%q,"Status":"Online"}`, id))
	}
	return `{"Code":0,"Message":"success","RequestId":"1","Result":[` + strings.Join(list, ",") + `]}`
}

// checkWire wants no nonce twice on the wire, and no more requests than slots.
func (s *rawServer) checkWire(t testing.TB, r *rig, requests int) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	for nonce, n := range s.lines {
		if n != 1 {
			t.Errorf("nonce %s was on the wire %d times", nonce, n)
		}
	}
	taken, held, _ := r.slots.books()
	if s.total > taken || requests != taken || held != 0 {
		t.Errorf("%d requests on the wire, %d counted, %d slots taken, %d of them held", s.total, requests, taken, held)
	}
}
