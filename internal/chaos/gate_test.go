package chaos

import (
	"bytes"
	"cmp"
	"io"
	"net"
	"regexp"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/zim-presence/poller/internal/local/localtest"
)

// arrival is a request that has reached the machine of the simulated ZIM.
type arrival struct {
	At     time.Duration // by the clock of the kernel
	Daemon int
}

// gates note every request of every daemon before anything can be done to it. The
// time is that at which the kernel got its first bytes, as far as the system
// tells: a process that is held up notes it late, and would blame the daemon.
type gates struct {
	mu       sync.Mutex
	arrivals map[uint32][]arrival
}

// appID finds the app in the beginning of a request.
var appID = regexp.MustCompile(`^GET [^ ]*[?&]AppId=(\d+)`)

func (g *gates) note(daemon int, at time.Time, data []byte) {
	m := appID.FindSubmatch(data)
	if m == nil {
		return // the rest of a long one
	}
	app, err := strconv.ParseUint(string(m[1]), 10, 32)
	if err != nil {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.arrivals[uint32(app)] = append(g.arrivals[uint32(app)], arrival{At: time.Duration(at.UnixNano()), Daemon: daemon})
}

// of returns an app's arrivals since a time, in order; of one daemon, or of all
// for a negative one.
func (g *gates) of(app uint32, daemon int, since time.Duration) []arrival {
	g.mu.Lock()
	defer g.mu.Unlock()
	all := []arrival{}
	for _, a := range slices.Backward(g.arrivals[app]) {
		if a.At < since-time.Minute { // they are noted out of order, but not by that much
			break
		}
		if a.At >= since && (daemon < 0 || a.Daemon == daemon) {
			all = append(all, a)
		}
	}
	slices.SortFunc(all, func(a, b arrival) int { return cmp.Compare(a.At, b.At) })
	return all
}

// open returns the address of a daemon's gate to another address.
func (g *gates) open(daemon int, to string) (string, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			go g.pass(daemon, client.(*net.TCPConn), to)
		}
	}()
	return listener.Addr().String(), nil
}

// pass passes one connection on.
func (g *gates) pass(daemon int, client *net.TCPConn, to string) {
	defer client.Close()
	localtest.Stamp(client)
	server, err := net.Dial("tcp", to)
	if err != nil {
		return
	}
	defer server.Close()
	go func() {
		defer client.Close()
		_, _ = io.Copy(client, server)
	}()
	buffer := make([]byte, 64<<10)
	for {
		n, at, err := localtest.ReadStamped(client, buffer)
		if n > 0 {
			g.note(daemon, at, buffer[:n])
			if _, err := io.Copy(server, bytes.NewReader(buffer[:n])); err != nil {
				return
			}
		}
		if err != nil || n == 0 {
			return
		}
	}
}
