package zimsim

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"
)

// benchServer has a million living users and no limit; its queries ask for a hundred of them.
func benchServer(b *testing.B) *Server {
	return start(b, func(c *Config) {
		c.Apps[0].Living = &Living{Users: 1_000_000, Hour: 16}
		c.Apps[0].History = -1
	})
}

func benchQuery(n int) string {
	p := valid()
	for i := range 100 {
		p = append(p, [2]string{"UserId%5B%5D", UserName((n*100+i)%1_000_000 + 1)})
	}
	return p.String()
}

// BenchmarkGateway is the gateway without the network.
func BenchmarkGateway(b *testing.B) {
	s := benchServer(b)
	requests := make([]*http.Request, b.N)
	for i := range requests {
		requests[i] = httptest.NewRequest(http.MethodGet, "/?"+benchQuery(i), nil)
	}
	w := &blank{header: http.Header{}}
	b.ReportAllocs()
	b.ResetTimer()
	for _, r := range requests {
		s.serveGateway(w, r)
	}
	b.StopTimer()
	if got := s.App(0).Stats().Answers; int(got) != b.N {
		b.Fatalf("%d answers of %d", got, b.N)
	}
}

type blank struct{ header http.Header }

func (w *blank) Header() http.Header            { return w.header }
func (w *blank) WriteHeader(int)                {}
func (w *blank) Write(text []byte) (int, error) { return len(text), nil }

// BenchmarkTCP is a kept-alive connection with a client that does as little as it can, on the same cores.
func BenchmarkTCP(b *testing.B) {
	s := benchServer(b)
	conn, err := net.Dial("tcp", strings.TrimPrefix(s.URL(), "http://"))
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close()
	requests := make([]string, b.N)
	for i := range requests {
		requests[i] = "GET /?" + benchQuery(i) + " HTTP/1.1\r\nHost: zim\r\n\r\n"
	}
	reader := bufio.NewReaderSize(conn, 64<<10)
	b.ResetTimer()
	for _, r := range requests {
		if _, err := io.WriteString(conn, r); err != nil {
			b.Fatal(err)
		}
		if err := skipAnswer(reader); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "requests/s")
}

// skipAnswer reads one answer and wants it to be a 200 with a length.
func skipAnswer(r *bufio.Reader) error {
	length := 0
	for first := true; ; first = false {
		line, err := r.ReadSlice('\n')
		if err != nil {
			return err
		}
		if first && !strings.HasPrefix(string(line), "HTTP/1.1 200") {
			return fmt.Errorf("answer %q", line)
		}
		if text, ok := strings.CutPrefix(string(line), "Content-Length: "); ok {
			if length, err = strconv.Atoi(strings.TrimSpace(text)); err != nil {
				return err
			}
		}
		if len(line) == 2 {
			break
		}
	}
	_, err := r.Discard(length)
	return err
}

// BenchmarkLivingMillion advances a million users by simulated seconds in the busiest hour.
func BenchmarkLivingMillion(b *testing.B) {
	p, err := newLiving(Living{Users: 1_000_000, Hour: 16}, 1, startClock(), -1)
	if err != nil {
		b.Fatal(err)
	}
	now := time.Duration(0)
	b.ResetTimer()
	for range b.N {
		now += time.Second
		p.advanceTo(now)
	}
	b.ReportMetric(float64(p.history.seq)/float64(b.N), "changes/s")
}
