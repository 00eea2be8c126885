package chaos

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/zim-presence/poller/internal/local/localtest"
	"github.com/zim-presence/poller/internal/zimsim"
)

// zimAddresses is what the simulated ZIM says when it runs.
type zimAddresses struct {
	Control string   // of the simulator
	Links   []string // the gateway, through a gate and a proxy for each daemon
	Switch  string   // of the proxies, and what the gates have noted
}

// zimPart is the simulated ZIM and the daemons' ways to it, for ever. They are
// in one process of high priority, so that answers do not wait for the processor.
func zimPart() error {
	if os.Getenv("CHAOS_RAISED") == "" {
		// The priority is the thread's; the program that it turns into has it whole.
		runtime.LockOSThread()
		_ = syscall.Setpriority(syscall.PRIO_PROCESS, 0, -15) // who may not do that goes without
		return syscall.Exec(os.Args[0], os.Args, append(os.Environ(), "CHAOS_RAISED=1"))
	}
	apps, err := strconv.Atoi(os.Getenv("CHAOS_APPS"))
	if err != nil {
		return err
	}
	sim := zimsim.New(zimsim.Config{Seed: 1})
	for app := range uint32(apps) {
		// It refuses nobody for being too fast, or they would slow down: the gates
		// keep count.
		if _, err := sim.AddApp(zimsim.AppConfig{ID: app + 1, Secret: secret, Rate: -1}); err != nil {
			return err
		}
	}
	if err := sim.Start(context.Background(), "127.0.0.1:0", "127.0.0.1:0"); err != nil {
		return err
	}
	said := zimAddresses{Control: sim.ControlURL()}
	var links []*localtest.Proxy
	g := &gates{arrivals: map[uint32][]arrival{}}
	for n := range daemons {
		p := localtest.NewProxy(forEver{}, "tcp", strings.TrimPrefix(sim.URL(), "http://"))
		address, err := g.open(n, p.Addr())
		if err != nil {
			return err
		}
		links = append(links, p)
		said.Links = append(said.Links, "http://"+address)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	said.Switch = "http://" + listener.Addr().String()
	if err := json.NewEncoder(os.Stdout).Encode(said); err != nil {
		return err
	}
	return http.Serve(listener, switchboard(links, g))
}

// switchboard is the interface to the proxies, and to what the gates have noted.
func switchboard(links []*localtest.Proxy, g *gates) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /links/{daemon}", func(w http.ResponseWriter, r *http.Request) {
		n, err := strconv.Atoi(r.PathValue("daemon"))
		if err == nil {
			err = throw(links[n], r.URL.Query().Get("do"))
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
		}
	})
	mux.HandleFunc("GET /arrivals/{app}", func(w http.ResponseWriter, r *http.Request) {
		app, errApp := strconv.Atoi(r.PathValue("app"))
		daemon, errDaemon := strconv.Atoi(r.URL.Query().Get("daemon"))
		since, errSince := strconv.ParseInt(r.URL.Query().Get("since"), 10, 64)
		if err := errors.Join(errApp, errDaemon, errSince); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		_ = json.NewEncoder(w).Encode(g.of(uint32(app), daemon, time.Duration(since))) // a client that left needs no answer
	})
	return mux
}

// throw does one thing to a daemon's link to ZIM.
func throw(p *localtest.Proxy, do string) error {
	switch do {
	case "cut":
		p.Cut()
	case "refuse":
		p.Refuse()
		p.Cut()
	case "accept":
		p.Accept()
	case "stall":
		p.Stall()
	case "stall answers":
		p.Stall(localtest.ToClient)
	case "resume":
		// What a network holds back and then delivers at once is no request of that
		// second: what was held is lost.
		p.Cut()
		p.Resume()
	default:
		return fmt.Errorf("do what? %q", do)
	}
	return nil
}

// forEver is the owner of what ends with the process.
type forEver struct{ testing.TB }

func (forEver) Helper()                             {}
func (forEver) Cleanup(func())                      {}
func (forEver) Context() context.Context            { return context.Background() }
func (forEver) Logf(format string, args ...any)     { fmt.Fprintf(os.Stderr, format+"\n", args...) }
func (e forEver) Errorf(format string, args ...any) { e.Fatalf(format, args...) }
func (e forEver) Fatalf(format string, args ...any) {
	e.Logf(format, args...)
	os.Exit(1)
}
