package follow

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/zim-presence/poller/presence"
)

const (
	// shortPause and longPause are the waits after an outage, doubled each time.
	shortPause = 100 * time.Millisecond
	longPause  = 5 * time.Second
	// saved is how often a durable consumer's place is written down, and how often
	// it is looked up how far the stream has gone on without the users.
	saved = 30 * time.Second
)

// Each is what a program does with an item. An error ends [Follower.Run], and the
// item counts as not done.
type Each func(ctx context.Context, item Item) error

// telling is an Each with the context of its run: a connection that breaks ends a
// reading, and not what the program does.
type telling func(Item) error

// Follower follows one app. [New] makes it, [Follower.Run] sets it going.
type Follower struct {
	js  jetstream.JetStream
	cfg Config
	log *slog.Logger

	users   map[string]bool // nil: everybody
	some    bool            // the server picks them out
	kinds   map[presence.Kind]bool
	running atomic.Bool
	counts  counts

	// What Run alone uses; kept from one Run to the next.
	chain    chain
	begun    bool      // the chain has a beginning
	standing *standing // the state as far as it was read, while it is
	why      error     // of the next Reset
	hint     place     // where the chain's end stands
	erased   erasures
	// handed is how far in the stream a durable consumer had been acknowledged
	// when this follower first met it.
	handed uint64
	met    bool
	every  time.Duration // saved; shorter in tests
}

// New returns a follower of an app on a JetStream context, whose connection stays
// the caller's: it should reconnect for ever ([nats.MaxReconnects](-1)). New does
// not speak to the server. A config out of range is an error.
func New(js jetstream.JetStream, cfg Config) (*Follower, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	f := &Follower{js: js, cfg: cfg, log: cfg.Log, every: saved}
	if f.log == nil {
		f.log = slog.New(slog.DiscardHandler)
	}
	f.log = f.log.With("app", cfg.App)
	if len(cfg.Users) > 0 {
		f.users = make(map[string]bool, len(cfg.Users))
		for _, id := range cfg.Users {
			f.users[id] = true
		}
		f.some = len(f.users) <= FilteredUsers
	}
	if len(cfg.Kinds) > 0 {
		f.kinds = make(map[presence.Kind]bool, len(cfg.Kinds))
		for _, kind := range cfg.Kinds {
			f.kinds[kind] = true
		}
	}
	if cfg.After > 0 {
		f.begin(chain{seq: cfg.After})
	}
	return f, nil
}

// Run tells everything to each, one item after the other, from one goroutine at a
// time: first [Reset], a [State] for each user and [Current], then an [Event] for
// each event, without a hole between the two, until ctx ends. It goes on by itself
// after every outage, and waits where there is nothing to follow yet.
//
// It is a function that is called, and not an iterator to range over, because what
// the function returns says whether the item was done. The body of a loop cannot
// say so: break leaves open whether the last item counts, and that is what a
// durable consumer acknowledges.
//
// It returns the error of each, wrapped; that of ctx; under [Stop] a *[GapError] or
// an *[AnewError]; a *[DurableError]; or [nats.ErrConnectionClosed]. Run may be
// called again: it goes on with the item that was not done. Where that was one of
// the state, the state begins again. A second Run at the same time is [ErrRunning].
func (f *Follower) Run(ctx context.Context, each Each) error {
	if !f.running.CompareAndSwap(false, true) {
		return ErrRunning
	}
	defer f.running.Store(false)
	f.standing = nil
	telling := func(item Item) error { return each(ctx, item) }
	for wait := shortPause; ; wait = min(2*wait, longPause) {
		before, since := f.counts.heard.Load(), time.Now()
		err := f.turn(ctx, telling)
		if ctx.Err() != nil && !errors.As(err, new(*enough)) {
			return ctx.Err()
		}
		if f.final(err) {
			return err
		}
		if f.js.Conn().IsClosed() {
			return nats.ErrConnectionClosed
		}
		if f.counts.heard.Load() > before || time.Since(since) > longPause {
			wait = shortPause
		}
		f.counts.Outages.Add(1)
		f.log.Warn("goes on soon", "err", err, "seq", f.chain.seq, "pause", wait)
		if !pause(ctx, wait) {
			return ctx.Err()
		}
	}
}

// turn goes on until something comes up.
func (f *Follower) turn(ctx context.Context, each telling) error {
	if err := f.connected(ctx); err != nil {
		return err
	}
	ctx, done := f.whileConnected(ctx)
	defer done()
	if f.cfg.Durable != "" {
		if err := f.meet(ctx); err != nil {
			return err
		}
	}
	if !f.begun {
		if err := f.state(ctx, each); err != nil {
			return err
		}
	}
	return f.live(ctx, each)
}

// connected waits for the connection: what is asked without one is asked late.
func (f *Follower) connected(ctx context.Context) error {
	nc := f.js.Conn()
	status := nc.StatusChanged(nats.CONNECTED, nats.CLOSED)
	defer nc.RemoveStatusListener(status)
	for !nc.IsConnected() {
		if nc.IsClosed() {
			return nats.ErrConnectionClosed
		}
		select {
		case <-status:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// whileConnected ends with the connection: no answer comes to what was asked before.
func (f *Follower) whileConnected(ctx context.Context) (_ context.Context, done func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	nc := f.js.Conn()
	status := nc.StatusChanged(nats.DISCONNECTED, nats.RECONNECTING, nats.CLOSED)
	if !nc.IsConnected() {
		cancel(errBroken)
	}
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		select {
		case <-status:
			cancel(errBroken)
		case <-ctx.Done():
		}
	}()
	return ctx, func() {
		cancel(nil)
		<-watched
		nc.RemoveStatusListener(status)
	}
}

// final tells whether an error ends the run. What is missing does not, where the
// program wants to begin again.
func (f *Follower) final(err error) bool {
	if errors.As(err, new(*GapError)) || errors.As(err, new(*AnewError)) {
		if f.cfg.OnGap == Stop {
			return true
		}
		f.begun, f.why, f.standing = false, err, nil
		return false
	}
	return errors.As(err, new(*enough)) || errors.As(err, new(*DurableError))
}

// begin sets where the chain begins.
func (f *Follower) begin(c chain) {
	c.some = f.some
	f.chain, f.begun, f.why, f.standing = c, true, nil, nil
	f.counts.Seq.Store(c.seq)
}

// tell hands an item to the program.
func (f *Follower) tell(each telling, item Item) error {
	if err := each(item); err != nil {
		return &enough{item, err}
	}
	return nil
}

// wanted tells whether the program wants to hear of a user.
func (f *Follower) wanted(id string) bool { return f.users == nil || f.users[id] }

func (f *Follower) events() string { return "PRESENCE_" + f.app() }
func (f *Follower) bucket() string { return "KV_presence_" + f.app() }
func (f *Follower) words() string  { return "PRESENCE_CONTROL_" + f.app() }
func (f *Follower) app() string    { return strconv.FormatUint(uint64(f.cfg.App), 10) }

// subjects are one for each user whom the server picks out, between a prefix and
// the user; nil for everybody.
func (f *Follower) subjects(prefix string) []string {
	if !f.some {
		return nil
	}
	var list []string
	for id := range f.users {
		list = append(list, prefix+presence.EncodeUser(id))
	}
	slices.Sort(list)
	return list
}

// pause waits; false when ctx ended.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
