package zimsim

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"time"
)

// wireFaults lets the faults strike that need no data; true when the request is over.
func (c *call) wireFaults(w http.ResponseWriter, r *http.Request) bool {
	app := uint32(0)
	if c.app != nil {
		app = c.app.id
	}
	c.struck = c.server.faults.strike(c.struck[:0], Kind.wire, app, &c.dice)
	if c.app != nil {
		c.app.bookFaults(c.struck)
	}
	var last *liveFault
	for _, f := range c.struck {
		switch {
		case f.Kind == Slow:
			c.server.delay(r.Context(), f.Delay)
		case f.Kind == KillKeepAlive && c.app != nil:
			doom(r.Context(), c.app.bookUnread)
		case f.answers():
			last = f
		}
	}
	if last == nil {
		return false
	}
	c.answerFault(w, r, last)
	return true
}

func (c *call) answerFault(w http.ResponseWriter, r *http.Request, f *liveFault) {
	switch f.Kind {
	case HTTPError:
		writePage(w, f.Status, f.RetryAfter)
	case HTML:
		writePage(w, http.StatusOK, 0)
	case Code:
		c.fail(w, f.Code, "simulated fault")
	case Hang:
		select {
		case <-r.Context().Done():
		case <-c.server.closing:
		case <-f.cleared:
		}
		panic(http.ErrAbortHandler)
	case CutHeaders:
		cutHeaders(w)
	}
}

// cutHeaders ends the connection inside the header. HTTP/2 has no such place: there the stream is reset.
func cutHeaders(w http.ResponseWriter) {
	conn, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	defer conn.Close()
	_, _ = buffered.WriteString("HTTP/1.1 200 OK\r\nContent-Type: application/js")
	_ = buffered.Flush()
}

// writePage answers as a proxy in front of the gateway would.
func writePage(w http.ResponseWriter, status, retryAfter int) {
	if retryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(retryAfter))
	}
	w.Header().Set("Content-Type", "text/html")
	w.WriteHeader(status)
	_, _ = fmt.Fprintf(w, "<html>\r\n<head><title>%d %s</title></head>\r\n<body><center><h1>%[1]d %[2]s</h1></center></body>\r\n</html>\r\n",
		status, http.StatusText(status))
}

// delay waits; a request whose client leaves or whose server closes meanwhile ends without an answer.
func (s *Server) delay(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
		panic(http.ErrAbortHandler)
	case <-s.closing:
		panic(http.ErrAbortHandler)
	}
}
