package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	sdnotify "github.com/coreos/go-systemd/v22/daemon"
	"github.com/rs/zerolog"

	"github.com/zim-presence/poller/internal/status"
)

// saidEvery is how often the line of systemctl status may change.
const saidEvery = 10 * time.Second

// systemd is told how the daemon does, where it runs under systemd with Type=notify: by
// messages to the socket that NOTIFY_SOCKET names. Without the variable all of it does
// nothing.
//
//	start ─→ READY=1 when every app is polled or stood by for ─→ STATUS=, WATCHDOG=1 ─→ STOPPING=1
//
// The watchdog is fed while /healthz is green, at half of the time that it allows. While
// the daemon stops it is fed as well: how long that may take is TimeoutStopSec's affair.
type systemd struct {
	// polled counts the apps that are polled here, of all.
	polled  func() (here, all int)
	checks  *status.Checks
	there   bool
	send    func(state string) error // to the socket
	allowed time.Duration            // by the watchdog; 0 without one
	log     zerolog.Logger

	mu       sync.Mutex // guards all below, and orders the messages
	begun    bool       // apps are gone for
	ready    bool       // and has said so
	stops    bool
	said     string // the line
	saidAt   time.Time
	fedAt    time.Time
	starving bool // and has been said to be
}

// newSystemd returns systemd as the environment describes it.
func newSystemd(polled func() (here, all int), checks *status.Checks, log zerolog.Logger) *systemd {
	s := &systemd{polled: polled, checks: checks, log: log, there: os.Getenv("NOTIFY_SOCKET") != "", send: func(state string) error {
		_, err := sdnotify.SdNotify(false, state)
		return err
	}}
	var err error
	if s.allowed, err = sdnotify.SdWatchdogEnabled(false); err != nil {
		log.Warn().Err(err).Msg("the watchdog of systemd is not fed")
	}
	return s
}

// run tells until the returned function is called, which waits for its end. From the end
// of ctx on the daemon stops.
func (s *systemd) run(ctx context.Context) (stop func()) {
	if !s.there {
		return func() {}
	}
	over := make(chan struct{})
	var telling sync.WaitGroup
	telling.Go(func() {
		tick := time.NewTicker(s.round())
		defer tick.Stop()
		ending := ctx.Done()
		for {
			select {
			case <-ending:
				ending = nil
				s.stopping()
			case <-tick.C:
				s.tell(time.Now())
			case <-over:
				return
			}
		}
	})
	return func() {
		close(over)
		telling.Wait()
	}
}

// round is how often there is a look whether something is to be told.
func (s *systemd) round() time.Duration {
	if s.allowed > 0 {
		return max(time.Millisecond, min(250*time.Millisecond, s.allowed/4))
	}
	return 250 * time.Millisecond
}

// begin says that every app is gone for from now on.
func (s *systemd) begin() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.begun = true
}

// tell sends what there is to say.
func (s *systemd) tell(now time.Time) {
	_, checks := s.checks.Judge()
	s.mu.Lock()
	defer s.mu.Unlock()
	var news []string
	if s.begun && !s.ready && !s.stops && s.standing(checks) {
		s.ready, s.saidAt = true, time.Time{}
		news = append(news, sdnotify.SdNotifyReady)
	}
	if line := s.line(checks); line != s.said && now.Sub(s.saidAt) >= saidEvery {
		s.said, s.saidAt = line, now
		news = append(news, "STATUS="+line)
	}
	if s.feeds(now) {
		s.fedAt = now
		news = append(news, sdnotify.SdNotifyWatchdog)
	}
	s.write(news...)
}

// feeds tells whether the watchdog is to be fed. It wants the lock.
func (s *systemd) feeds(now time.Time) bool {
	if s.allowed == 0 || now.Sub(s.fedAt) < s.allowed/2-s.round() {
		return false
	}
	err := s.checks.Turning()
	if err == nil || s.stops || !s.ready {
		s.starving = false
		return true
	}
	if !s.starving {
		s.starving = true
		s.log.Error().Err(err).Msg("the watchdog of systemd is not fed any more, so that it starts the program again")
	}
	return false
}

// stopping says that the daemon stops.
func (s *systemd) stopping() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stops = true
	s.said = s.line(nil)
	s.write(sdnotify.SdNotifyStopping, "STATUS="+s.said)
}

// reload says that the configuration is read again, until the returned function is
// called. Where the daemon is not ready yet, or stops, nothing is said.
func (s *systemd) reload() (done func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.ready || s.stops {
		return func() {}
	}
	s.write(sdnotify.SdNotifyReloading, strings.TrimSpace(sdnotify.SdNotifyMonotonicUsec()))
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if !s.stops {
			s.write(sdnotify.SdNotifyReady)
		}
	}
}

// write sends lines as one message. It wants the lock.
func (s *systemd) write(lines ...string) {
	if len(lines) == 0 {
		return
	}
	if err := s.send(strings.Join(lines, "\n")); err != nil {
		s.log.Debug().Err(err).Msg("systemd was not told")
	}
}

// line says in a few words what the daemon does. It wants the lock.
func (s *systemd) line(checks []status.Check) string {
	if s.stops {
		return "stopping: telling what is left, and giving leases back"
	}
	var red []string
	why := ""
	for _, k := range checks {
		if k.Err != nil {
			red = append(red, k.Name)
			if why == "" {
				why = k.Name + ": " + k.Fault()
			}
		}
	}
	switch here, all := s.polled(); {
	case !s.ready && why == "":
		return "starting"
	case !s.ready:
		return "starting; " + why
	case len(red) == 0:
		return fmt.Sprintf("polling %d of %s; all checks are green", here, plural(int64(all), "app"))
	default:
		return fmt.Sprintf("polling %d of %s; red: %s; %s", here, plural(int64(all), "app"), strings.Join(red, ", "), why)
	}
}

// standing tells whether every app is polled, or stood by for. One that has no check of its lease yet is neither.
func (s *systemd) standing(checks []status.Check) bool {
	stood := 0
	for _, k := range checks {
		if !strings.HasPrefix(k.Name, "lease/") {
			continue
		}
		if k.Err != nil {
			return false
		}
		stood++
	}
	_, all := s.polled()
	return stood >= all
}
