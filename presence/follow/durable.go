package follow

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// What a durable consumer's metadata keeps. The consumer itself keeps what was
// acknowledged by place in the stream; the numbers are for the proof.
const (
	keySeq   = "presence-seq"   // everything up to it is done
	keyLog   = "presence-log"   // of that event
	keyLogs  = "presence-logs"  // all that were seen
	keyUsers = "presence-users" // a digest of whom it was made for
	keyPhase = "presence-phase" // phaseState while the state is told anew
)

const (
	phaseState = "state"
	phaseLive  = "live"
	// mostLogs is how many logs are kept: one for each time that a database was restored.
	mostLogs = 64
	// leaving bounds the last words at the end of a run.
	leaving = time.Second
)

// meet looks at the durable consumer. Where it stands is where this follower goes
// on, unless it knows better itself.
func (f *Follower) meet(ctx context.Context) error {
	asking, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	consumer, err := f.js.Consumer(asking, f.events(), f.cfg.Durable)
	if errors.Is(err, jetstream.ErrConsumerNotFound) || errors.Is(err, jetstream.ErrStreamNotFound) {
		f.met = true
		return nil
	}
	if err != nil {
		return fmt.Errorf("consumer %s: %w", f.cfg.Durable, err)
	}
	info := consumer.CachedInfo()
	metadata := info.Config.Metadata
	if metadata[keyPhase] == "" {
		return &DurableError{App: f.cfg.App, Durable: f.cfg.Durable, Why: "by another program"}
	}
	if metadata[keyUsers] != f.digest() {
		return &DurableError{App: f.cfg.App, Durable: f.cfg.Durable, Why: "for other users"}
	}
	if !f.met && metadata[keyPhase] != phaseState {
		f.take(metadata, info.AckFloor.Stream)
	}
	f.met = true
	if f.begun {
		return nil
	}
	return f.mark(ctx, map[string]string{keyPhase: phaseState})
}

// take goes on where a consumer stands.
func (f *Follower) take(metadata map[string]string, acknowledged uint64) {
	seq, err := strconv.ParseInt(metadata[keySeq], 10, 64)
	if err != nil || seq < 0 {
		return // somebody has altered it: the state comes first
	}
	c := chain{seq: seq, log: metadata[keyLog]}
	if f.cfg.After > 0 {
		c.seq, c.log, acknowledged = f.cfg.After, "", 0 // the program knows better
	}
	for log := range strings.SplitSeq(metadata[keyLogs], ",") {
		c.saw(log)
	}
	f.begin(c)
	f.handed = acknowledged
}

// digest stands for the users that the consumer is made for; "" for everybody.
func (f *Follower) digest() string {
	if f.users == nil {
		return ""
	}
	sum := sha256.New()
	for _, id := range slices.Sorted(maps.Keys(f.users)) {
		sum.Write([]byte(id + "\n"))
	}
	return hex.EncodeToString(sum.Sum(nil)[:8])
}

// attachDurable makes the durable consumer where there is none, tells what was
// delivered and not acknowledged, and goes on with the consumer behind that. It
// need not wait until the server delivers again, and nothing is told out of order.
func (f *Follower) attachDurable(ctx context.Context, each telling, p place) (*reading, error) {
	consumer, err := f.durable(ctx, p)
	if err != nil {
		return nil, fmt.Errorf("consumer %s: %w", f.cfg.Durable, err)
	}
	if delivered := consumer.CachedInfo().Delivered.Stream; delivered >= p.start {
		if err := f.catchUp(ctx, each, p, delivered); err != nil {
			return nil, err
		}
	}
	f.handed = 0
	return f.read(consumer, aheadDurable)
}

// durable returns the consumer, made if it is missing.
func (f *Follower) durable(ctx context.Context, p place) (jetstream.Consumer, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*patience)
	defer cancel()
	consumer, err := f.js.Consumer(ctx, f.events(), f.cfg.Durable)
	if !errors.Is(err, jetstream.ErrConsumerNotFound) {
		return consumer, err
	}
	cfg := jetstream.ConsumerConfig{
		Durable:        f.cfg.Durable,
		Description:    "Made by presence/follow.",
		DeliverPolicy:  jetstream.DeliverByStartSequencePolicy,
		OptStartSeq:    max(p.start, 1),
		AckPolicy:      jetstream.AckExplicitPolicy,
		MaxAckPending:  40 * aheadDurable,
		FilterSubjects: f.filters(),
		Metadata:       f.place(),
	}
	return f.js.CreateConsumer(ctx, f.events(), cfg)
}

// catchUp tells what stands between the chain's end and a place in the stream. What
// was acknowledged is only counted.
func (f *Follower) catchUp(ctx context.Context, each telling, p place, last uint64) error {
	err := f.readTo(ctx, p, last, func(m *message) error {
		how := asEvent
		if m.pos <= f.handed {
			how = untold
		}
		return f.hear(ctx, each, m, how)
	})
	if err != nil {
		return err
	}
	return f.keep(ctx)
}

// place is what the metadata are to say.
func (f *Follower) place() map[string]string {
	logs := slices.Sorted(maps.Keys(f.chain.logs))
	return map[string]string{
		keySeq: strconv.FormatInt(f.chain.seq, 10), keyLog: f.chain.log, keyLogs: strings.Join(logs[:min(len(logs), mostLogs)], ","),
		keyUsers: f.digest(), keyPhase: phaseLive,
	}
}

// keep writes down how far everything is done, where there is a durable consumer.
func (f *Follower) keep(ctx context.Context) error {
	if f.cfg.Durable == "" {
		return nil
	}
	return f.mark(ctx, f.place())
}

// leave is keep at the end of a reading, whatever its cause. What fails here costs
// nothing but some reading at the next start.
func (f *Follower) leave(ctx context.Context) {
	if f.cfg.Durable == "" || !f.js.Conn().IsConnected() {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), leaving)
	defer cancel()
	if err := f.keep(ctx); err != nil {
		f.log.Debug("the place was not written down", "err", err)
	}
}

// mark sets metadata of the durable consumer, if there is one.
func (f *Follower) mark(ctx context.Context, words map[string]string) error {
	ctx, cancel := context.WithTimeout(ctx, 2*patience)
	defer cancel()
	consumer, err := f.js.Consumer(ctx, f.events(), f.cfg.Durable)
	if errors.Is(err, jetstream.ErrConsumerNotFound) || errors.Is(err, jetstream.ErrStreamNotFound) {
		return nil
	}
	if err == nil {
		cfg := consumer.CachedInfo().Config
		cfg.Metadata = maps.Clone(cfg.Metadata)
		if cfg.Metadata == nil {
			cfg.Metadata = map[string]string{}
		}
		maps.Copy(cfg.Metadata, words)
		_, err = f.js.UpdateConsumer(ctx, f.events(), cfg)
	}
	if err != nil {
		return fmt.Errorf("consumer %s: write down event %d: %w", f.cfg.Durable, f.chain.seq, err)
	}
	return nil
}
