package zim

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// A server that says back what it was told, as headers, as a broken status line,
// as a message: neither errors nor the log may hold it.
func TestEchoes(t *testing.T) {
	for name, echo := range map[string]func(request string) string{
		"as it came":  func(q string) string { return q },
		"status line": func(q string) string { return "HTTP/1.1 200 " + strings.Fields(q)[1] + "\r\n\r\n" },
		"bad header":  func(q string) string { return "HTTP/1.1 200 OK\r\n" + strings.Fields(q)[1] + "\r\n\r\n" },
		"no header":   func(q string) string { return "HTTP/1.1 " + strings.Fields(q)[1] + " OK\r\n\r\n" },
		"length": func(q string) string {
			return "HTTP/1.1 200 OK\r\nContent-Length: " + strings.Fields(q)[1] + "\r\n\r\n"
		},
		"encoding": func(q string) string {
			return "HTTP/1.1 200 OK\r\nTransfer-Encoding: " + strings.Fields(q)[1] + "\r\n\r\n"
		},
		"message": func(q string) string {
			return reply200(fmt.Sprintf(`{"Code":100000005,"Message":%q,"RequestId":%q}`, testSecret+strings.Fields(q)[1], strings.Fields(q)[1]))
		},
		"request id": func(q string) string {
			return reply200(fmt.Sprintf(`{"Code":100000005,"RequestId":{"x":%q}}`, strings.Fields(q)[1]))
		},
		"escaped": func(q string) string {
			return reply200(`{"Code":100000005,"Message":"` + strings.NewReplacer("=", `\u003d`, "&", `\u0026`).Replace(strings.Fields(q)[1]) + `"}`)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url := echoServer(t, echo)
			r := newRig(t, url)
			out := r.ask(t.Context(), numbered(3))
			if len(out.observed) != 0 {
				t.Errorf("%d observed", len(out.observed))
			}
			if r.logged("a request brought no answer") == 0 {
				t.Error("nothing was logged")
			}
		})
	}
}

func echoServer(t testing.TB, echo func(string) string) (url string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			serving.Go(func() {
				defer c.Close()
				line, err := bufio.NewReader(c).ReadString('\n')
				if err == nil {
					_, _ = io.WriteString(c, echo(line))
				}
			})
		}
	})
	t.Cleanup(func() { l.Close(); serving.Wait() })
	return "http://" + l.Addr().String()
}

// A reply without an end is cut at a size.
func TestEndlessReply(t *testing.T) {
	var sent atomic.Int64
	url := echoServer(t, func(string) string {
		sent.Add(1)
		return "HTTP/1.1 200 OK\r\n\r\n" + `{"Code":0,"Result":[` + strings.Repeat(`{"UserId":"u1","Status":"Offline"},`, maxBody/20)
	})
	r := newRig(t, url)
	out := r.ask(t.Context(), numbered(1))
	if len(out.observed) != 0 || sent.Load() != int64(r.sweep.weather) {
		t.Errorf("%d observed of a reply without an end, after %d requests", len(out.observed), sent.Load())
	}
}
