package follow_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/zim-presence/poller/presence"
	"github.com/zim-presence/poller/presence/follow"
)

// program is a consumer that keeps what it is told, and holds it against the promise.
type program struct {
	t        testing.TB
	follower *follow.Follower
	cancel   context.CancelFunc
	ended    chan error

	mu      sync.Mutex
	items   []follow.Item
	status  map[string]presence.Status
	current bool
	seq     int64
	faults  []string
	before  func(follow.Item) error // may refuse an item
}

func (r *rig) program(cfg follow.Config) *program {
	r.t.Helper()
	cfg.App = app
	return start(r.t, r.connect(), cfg, nil)
}

// start runs a follower until the test ends or it is stopped.
func start(t testing.TB, js jetstream.JetStream, cfg follow.Config, before func(follow.Item) error) *program {
	t.Helper()
	f, err := follow.New(js, cfg)
	if err != nil {
		t.Fatal(err)
	}
	f.Every(200 * time.Millisecond)
	p := &program{t: t, follower: f, status: map[string]presence.Status{}, seq: cfg.After, before: before}
	p.run()
	t.Cleanup(func() { p.stop() })
	return p
}

func (p *program) run() {
	ctx, cancel := context.WithCancel(context.Background())
	p.cancel, p.ended = cancel, make(chan error, 1)
	ended := p.ended
	go func() { ended <- p.follower.Run(ctx, p.each) }()
}

// stop ends the run and returns its error.
func (p *program) stop() error {
	p.cancel()
	return p.wait()
}

func (p *program) wait() error {
	p.t.Helper()
	select {
	case err := <-p.ended:
		p.ended <- err
		return err
	case <-time.After(time.Minute):
		p.t.Fatal("the run does not end")
		return nil
	}
}

func (p *program) each(_ context.Context, item follow.Item) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.before != nil {
		if err := p.before(item); err != nil {
			return err
		}
	}
	p.items = append(p.items, item)
	e := item.Event
	switch item.What {
	case follow.Reset:
		clear(p.status)
		p.current, p.seq = false, 0
	case follow.State:
		if p.current {
			p.fault("state behind current: %s", item)
		}
		p.status[e.User.ID] = e.To
		if e.To == presence.Unknown {
			delete(p.status, e.User.ID)
		}
	case follow.Current:
		p.current, p.seq = true, item.Seq
	case follow.Erased:
	case follow.Event:
		if item.Seq <= p.seq {
			p.fault("event %d behind %d", item.Seq, p.seq)
		}
		if e.From != p.status[e.User.ID] && p.current {
			p.fault("event %d of %q from %s, which was %s", e.Seq, e.User.ID, e.From, p.status[e.User.ID])
		}
		p.seq = item.Seq
		p.status[e.User.ID] = e.To
		if e.To == presence.Unknown {
			delete(p.status, e.User.ID)
		}
	}
	return nil
}

func (p *program) fault(format string, args ...any) {
	p.faults = append(p.faults, fmt.Sprintf(format, args...))
}

func (p *program) snapshot() (status map[string]presence.Status, seq int64, current bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return maps.Clone(p.status), p.seq, p.current
}

// reaches waits until the program has come as far as the ledger, and holds its
// state against the truth.
func (p *program) reaches(r *rig) {
	p.t.Helper()
	want := r.seq()
	p.upTo(want)
	status, _, _ := p.snapshot()
	if truth := r.truth(); !maps.Equal(status, truth) {
		p.t.Errorf("state %v, want %v", status, truth)
	}
	p.faultless()
}

// upTo waits until everything up to a number was told.
func (p *program) upTo(seq int64) {
	p.t.Helper()
	eventually(p.t, fmt.Sprintf("a program comes to event %d", seq), func() bool {
		select {
		case err := <-p.ended:
			p.t.Fatalf("the run ended: %v", err)
		default:
		}
		return p.at() >= seq && p.isCurrent()
	})
}

func (p *program) at() int64 {
	_, seq, _ := p.snapshot()
	return seq
}

func (p *program) isCurrent() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.current || len(p.items) == 0 || p.items[0].What == follow.Event || p.items[0].What == follow.Erased
}

func (p *program) faultless() {
	p.t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, fault := range p.faults {
		p.t.Error(fault)
	}
}

// heard are the items of a sort.
func (p *program) heard(what follow.What) (items []follow.Item) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, item := range p.items {
		if item.What == what {
			items = append(items, item)
		}
	}
	return items
}

// numbers are the events that were told.
func (p *program) numbers() (seqs []int64) {
	for _, item := range p.heard(follow.Event) {
		seqs = append(seqs, item.Seq)
	}
	return seqs
}

// wantEnd waits for the end of a run, and wants an error of a type.
func wantEnd[E error](p *program) (want E) {
	p.t.Helper()
	select {
	case err := <-p.ended:
		p.ended <- err
		if !errors.As(err, &want) {
			p.t.Fatalf("the run ended: %v, want %T", err, want)
		}
	case <-time.After(time.Minute):
		p.t.Fatalf("the run does not end, want %T", want)
	}
	return want
}
