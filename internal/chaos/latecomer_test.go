package chaos

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync/atomic"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/zim-presence/poller/presence"
	"github.com/zim-presence/poller/presence/follow"
)

// latecomer is one subscriber, and what it has heard. One goroutine owns it until
// it is over.
type latecomer struct {
	n       int
	stays   bool // to the end; else it leaves when it has heard enough
	resumes bool // it stops when it has heard half of that, and goes on behind it
	hears   int  // events that are enough

	joined   int64                      // the event as of which it began
	first    map[string]presence.Status // what it began with
	heard    []news
	state    map[string]presence.Status
	findings []string

	// For others to look at.
	current, over atomic.Bool
	at            atomic.Int64
}

// news is what is kept of an event.
type news struct {
	seq  int64
	user string
	to   presence.Status
}

// errEnough ends the following.
var errEnough = errors.New("heard enough")

// follow joins, and hears until it has heard enough or ctx ends.
func (s *latecomer) follow(ctx context.Context, url string) {
	defer s.over.Store(true)
	err := s.connected(ctx, url, 0)
	if errors.Is(err, errEnough) && s.resumes {
		s.resumes = false
		err = s.connected(ctx, url, s.at.Load())
	}
	if ctx.Err() == nil && !errors.Is(err, errEnough) {
		s.blame("gave up: %v", err)
	}
}

// connected follows behind an event over a connection of its own.
func (s *latecomer) connected(ctx context.Context, url string, after int64) error {
	nc, err := nats.Connect(url, nats.MaxReconnects(-1), nats.RetryOnFailedConnect(true), nats.ReconnectWait(100*time.Millisecond),
		nats.PingInterval(2*time.Second))
	if err != nil {
		return err
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		return err
	}
	f, err := follow.New(js, follow.Config{App: 1, After: after})
	if err != nil {
		return err
	}
	return f.Run(ctx, s.hear)
}

func (s *latecomer) hear(_ context.Context, i follow.Item) error {
	switch i.What {
	case follow.Reset:
		if i.Why != nil || s.current.Load() {
			s.blame("began again behind event %d: %v", s.at.Load(), i.Why)
		}
		s.state = map[string]presence.Status{}
	case follow.State:
		s.state[i.Event.User.ID] = i.Event.To
	case follow.Current:
		s.joined, s.first = i.Seq, maps.Clone(s.state)
		s.at.Store(i.Seq)
		s.current.Store(true)
	case follow.Event:
		s.heard = append(s.heard, news{i.Seq, i.Event.User.ID, i.Event.To})
		s.state[i.Event.User.ID] = i.Event.To
		s.at.Store(i.Seq)
		if s.resumes && len(s.heard) == s.hears/2 || !s.resumes && !s.stays && len(s.heard) >= s.hears {
			return errEnough
		}
	case follow.Erased:
		s.blame("heard that events %d to %d were erased", i.First, i.Seq)
	}
	return nil
}

// prove holds what it heard against the ledger.
func (s *latecomer) prove(book newsbook) {
	if s.joined > int64(len(book)) {
		s.blame("began with event %d, the ledger has %d", s.joined, len(book))
		return
	}
	if diff := cmp.Diff(book.at(s.joined), watchedOnly(s.first)); diff != "" {
		s.blame("began as of event %d with (-ledger +heard):\n%s", s.joined, diff)
	}
	for i, n := range s.heard {
		at := s.joined + int64(i) + 1
		switch {
		case n.seq > at:
			s.blame("lost: event %d behind event %d", n.seq, at-1)
		case n.seq < at:
			s.blame("doubled or reordered: event %d behind event %d", n.seq, at-1)
		case at > int64(len(book)) || book[at-1] != n:
			s.blame("event %d: %v is not that of the ledger", at, n)
		}
		if n.seq != at {
			return
		}
	}
	if end := s.joined + int64(len(s.heard)); end != s.at.Load() {
		s.blame("is at event %d, having heard %d behind event %d", s.at.Load(), len(s.heard), s.joined)
	}
}

func (s *latecomer) blame(format string, args ...any) {
	s.findings = append(s.findings, fmt.Sprintf("subscriber %d: ", s.n)+fmt.Sprintf(format, args...))
}
