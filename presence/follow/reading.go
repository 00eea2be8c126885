package follow

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

const (
	// patience bounds one request to the server.
	patience = 5 * time.Second
	// quiet is how long nothing comes until the server is asked whether more is to come.
	quiet = 2 * time.Second
	// ahead is how many messages are asked for before they are taken.
	ahead = 4096
	// aheadDurable is less: what was delivered and not acknowledged is delivered again.
	aheadDurable = 512
	// forgotten is when the server removes a consumer that nobody reads any more.
	forgotten = 30 * time.Second
)

var (
	errBroken  = errors.New("the connection broke")
	errSkipped = errors.New("messages went astray")
)

// reading is one consumer that delivers. What goes wrong ends it; it is not mended
// but replaced, from a place that was made sure of.
//
//	server ──▶ nats.go ──▶ take (decode) ──▶ in ──▶ next ──▶ the follower
//
// The decoding is done by the goroutine that nats.go calls back in, beside the
// follower's own. Close waits until it is through.
type reading struct {
	app      uint32
	consumer jetstream.Consumer
	running  jetstream.ConsumeContext

	in   chan message
	lost chan error
	done chan struct{}

	deliver uint64 // of the last message that next returned
	pending uint64 // at the beginning
	beyond  bool   // toEnd has met a message behind its end
}

// once is the consumer for one reading of a stream.
func once(start uint64, filters []string) jetstream.ConsumerConfig {
	return jetstream.ConsumerConfig{
		DeliverPolicy:     jetstream.DeliverByStartSequencePolicy,
		OptStartSeq:       max(start, 1),
		AckPolicy:         jetstream.AckNonePolicy,
		FilterSubjects:    filters,
		InactiveThreshold: forgotten,
		MemoryStorage:     true,
		Replicas:          1,
	}
}

// open begins to read with a new consumer.
func (f *Follower) open(ctx context.Context, stream string, cfg jetstream.ConsumerConfig) (*reading, error) {
	asking, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	consumer, err := f.js.CreateConsumer(asking, stream, cfg)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", stream, err)
	}
	return f.read(consumer, ahead)
}

// read begins to read with a consumer whose CachedInfo is fresh.
func (f *Follower) read(consumer jetstream.Consumer, prefetch int) (*reading, error) {
	info := consumer.CachedInfo()
	r := &reading{
		app: f.cfg.App, consumer: consumer,
		in: make(chan message, prefetch), lost: make(chan error, 1), done: make(chan struct{}),
		deliver: info.Delivered.Consumer, pending: info.NumPending,
	}
	var err error
	r.running, err = consumer.Consume(r.take, jetstream.PullMaxMessages(prefetch), jetstream.ConsumeErrHandler(r.fault))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", info.Stream, err)
	}
	return r, nil
}

// take is called by nats.go for each message, one after the other.
func (r *reading) take(raw jetstream.Msg) {
	meta, err := raw.Metadata()
	if err != nil {
		r.fault(nil, err)
		return
	}
	m := decode(r.app, raw.Headers(), raw.Data())
	m.pos, m.deliver, m.pending, m.raw = meta.Sequence.Stream, meta.Sequence.Consumer, meta.NumPending, raw
	select {
	case r.in <- m:
	case <-r.done:
	}
}

// fault ends the reading: any error does.
func (r *reading) fault(_ jetstream.ConsumeContext, err error) {
	select {
	case r.lost <- err:
	default:
	}
}

// next returns the next message, or false when wake came first.
func (r *reading) next(ctx context.Context, wake <-chan time.Time) (m message, ok bool, err error) {
	select {
	case m = <-r.in:
	case <-wake: // also when there is always more
		return m, false, nil
	default:
		select {
		case m = <-r.in:
		case <-wake:
			return m, false, nil
		case err = <-r.lost:
			return m, false, err
		case <-ctx.Done():
			return m, false, context.Cause(ctx)
		}
	}
	if m.deliver != r.deliver+1 {
		return m, false, errSkipped
	}
	r.deliver = m.deliver
	return m, true, context.Cause(ctx)
}

// toEnd takes what the stream holds, up to a place or to its end.
func (r *reading) toEnd(ctx context.Context, last uint64, take func(*message) error) error {
	if r.pending == 0 {
		return nil
	}
	wake := time.NewTicker(quiet)
	defer wake.Stop()
	for {
		m, ok, err := r.next(ctx, wake.C)
		if err != nil {
			return err
		}
		if !ok {
			if end, err := r.drained(ctx); end || err != nil {
				return err
			}
			continue
		}
		if m.pos > last {
			r.beyond = true
			return nil
		}
		if err := take(&m); err != nil {
			return err
		}
		if m.pending == 0 || m.pos == last {
			return nil
		}
		wake.Reset(quiet)
	}
}

// errReplica says that a consumer runs on a replica that does not have all yet.
var errReplica = errors.New("a replica is behind")

// readAll reads a stream from one message up to another, and tells whether it has
// met that one or a later one. If not, it is gone, or a replica is behind. mark is the
// subject of that one: it is read along where others are filtered out, and proves that
// the replica which reads has come so far. A consumer runs on any of them, and says
// that nothing is left when that has nothing left.
func (f *Follower) readAll(ctx context.Context, stream string, start, last uint64, filters []string, mark string, sure func() error, take func(*message) error) (met bool, err error) {
	if filters != nil && mark != "" && !slices.ContainsFunc(filters, func(f string) bool { return lastToken(f) == lastToken(mark) }) {
		filters = append(slices.Clone(filters), mark) // the server takes none that overlap
	}
	for start <= last {
		r, err := f.open(ctx, stream, once(start, filters))
		if err != nil {
			return false, err
		}
		if err = sure(); err == nil {
			err = r.toEnd(ctx, last, func(m *message) error {
				start = m.pos + 1
				return take(m)
			})
		}
		r.close()
		if err != nil || r.beyond || r.pending == 0 {
			return r.beyond || start > last, err
		}
	}
	return true, nil
}

// lastToken is the user of a subject.
func lastToken(subject string) string { return subject[strings.LastIndexByte(subject, '.')+1:] }

// gone makes sure that a message is there no more: else it was not read. It is not
// for the bucket, of which nearly all messages are gone, and all would be listed.
func (f *Follower) gone(ctx context.Context, stream string, pos uint64) error {
	asking, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	s, err := f.js.Stream(asking, stream)
	if err != nil {
		return err
	}
	info, err := s.Info(asking, jetstream.WithDeletedDetails(true))
	if err != nil {
		return err
	}
	if st := info.State; pos < st.FirstSeq || pos > st.LastSeq || slices.Contains(st.Deleted, pos) {
		return nil
	}
	return errReplica
}

// drained asks the server whether all that there is has been returned by next.
func (r *reading) drained(ctx context.Context) (bool, error) {
	asking, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	info, err := r.consumer.Info(asking)
	if err != nil {
		return false, err
	}
	return info.NumPending == 0 && info.Delivered.Consumer == r.deliver, nil
}

func (r *reading) close() {
	close(r.done)
	r.running.Stop()
	<-r.running.Closed()
}
