package main

import (
	"bytes"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/zim-presence/poller/internal/local/localtest"
)

// turns is who sent requests to ZIM, and when: at the process's own connections, by
// the clock of the kernel.
type turns struct {
	mu   sync.Mutex
	sent []sending
}

type sending struct {
	who string
	app string // as the request has it
	at  time.Time
}

// of returns the setting that leads a process's requests by way of a gate that notes
// them.
func (s *turns) of(who string, w *world) string {
	w.t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = listener.Close() })
	to := strings.TrimPrefix(w.sim.URL(), "http://")
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			go s.pass(who, client.(*net.TCPConn), to)
		}
	}()
	return "POLLER_ZIM_BASE_URL=http://" + listener.Addr().String()
}

// pass passes one connection on, and notes what it asks.
func (s *turns) pass(who string, client *net.TCPConn, to string) {
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
		if err != nil || n == 0 {
			return
		}
		s.note(who, at, buffer[:n])
		if _, err := server.Write(buffer[:n]); err != nil {
			return
		}
	}
}

func (s *turns) note(who string, at time.Time, data []byte) {
	if !bytes.HasPrefix(data, []byte("GET ")) {
		return // the rest of a long one
	}
	_, app, _ := strings.Cut(string(data), "AppId=")
	app, _, _ = strings.Cut(app, "&")
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sent = append(s.sent, sending{who, app, at})
}

// arrivals are the times of an app's requests, in order.
func (s *turns) arrivals(app uint32) (times []time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, one := range s.sent {
		if one.app == strconv.FormatUint(uint64(app), 10) {
			times = append(times, time.Duration(one.at.UnixNano()))
		}
	}
	slices.Sort(times)
	return times
}

// audit proves that no two ever sent in one second for one app, and returns how
// often an app has changed hands. Half of the second is left to what was sent and is
// not read yet.
func (s *turns) audit(t testing.TB) (changes int) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	slices.SortFunc(s.sent, func(a, b sending) int { return a.at.Compare(b.at) })
	last := map[string]sending{}
	for _, after := range s.sent {
		before, asked := last[after.app]
		last[after.app] = after
		if !asked || before.who == after.who {
			continue
		}
		changes++
		gap := after.at.Sub(before.at)
		t.Logf("turn %d, of app %s: %s sends %s behind %s", changes, after.app, after.who, gap.Round(time.Millisecond), before.who)
		if gap < 500*time.Millisecond {
			t.Errorf("app %s: %s sends %s behind %s: they poll at once", after.app, after.who, gap, before.who)
		}
	}
	if changes == 0 {
		t.Error("the lease has not changed hands")
	}
	return changes
}
