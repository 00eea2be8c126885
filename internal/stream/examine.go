package stream

import (
	"context"
	"errors"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// Standing is how one of an app's streams stands.
type Standing struct {
	Name string
	// Missing: it is not there. Then only Differences may hold something: another
	// stream that stands where it is to be made.
	Missing bool
	// Differences break a promise each; Notes break none.
	Differences []Difference
	Notes       []string
	// Messages and Bytes are what it holds, MaxBytes what it may; 0 for no limit.
	Messages, Bytes, MaxBytes uint64
	// Replicas is how many copies it has. Leaderless: no server leads it. Behind are
	// the servers whose copy is not up to date, or that are away.
	Replicas   int
	Leaderless bool
	Behind     []string
	// At is when the server said so, by its own clock; zero where it does not say it.
	At time.Time
	// Lag is how many messages a bucket has not taken over yet; Cut says why it
	// cannot, "" for that it can.
	Lag uint64
	Cut string
}

// LookEvents looks how the event stream stands. It makes and alters nothing.
func (s *Stream) LookEvents(ctx context.Context) (Standing, error) {
	want := s.cfg.eventStream()
	return s.look(ctx, &want, eventAspects(&want), remakeStream(want.Name))
}

// LookBucket is LookEvents for the stream behind the bucket.
func (s *Stream) LookBucket(ctx context.Context) (Standing, error) {
	want := s.cfg.bucketStream()
	return s.look(ctx, &want, bucketAspects(), s.remakeBucket())
}

// LookControl is LookEvents for the control stream.
func (s *Stream) LookControl(ctx context.Context) (Standing, error) {
	want := s.cfg.controlStream()
	return s.look(ctx, &want, controlAspects(&want), remakeStream(want.Name))
}

func (s *Stream) look(ctx context.Context, want *config, table []aspect, remake string) (Standing, error) {
	info, err := s.info(ctx, want.Name)
	if errors.Is(err, ErrMissing) {
		return s.lookWhere(ctx, want)
	}
	if err != nil {
		return Standing{}, err
	}
	found := Standing{
		Name: want.Name, Messages: info.State.Msgs, Bytes: info.State.Bytes, MaxBytes: uint64(max(0, info.Config.MaxBytes)),
		Replicas: info.Config.Replicas, At: info.TimeStamp,
	}
	found.Differences, found.Notes = compare(&info.Config, want, table, remake)
	found.cluster(info.Cluster)
	for _, source := range info.Sources {
		found.Lag += source.Lag
		if source.Error != nil {
			found.Cut = source.Error.Description
		}
	}
	return found, nil
}

// lookWhere looks at the place of a stream that is missing.
func (s *Stream) lookWhere(ctx context.Context, want *config) (Standing, error) {
	found := Standing{Name: want.Name, Missing: true}
	if len(want.Subjects) == 0 {
		return found, nil
	}
	var err error
	if found.Differences, err = s.overlap(ctx, want); errors.Is(err, ErrSurprise) {
		err = nil // nobody stands there
	}
	return found, err
}

func (found *Standing) cluster(c *jetstream.ClusterInfo) {
	if c == nil || found.Replicas < 2 {
		return
	}
	found.Leaderless = c.Leader == ""
	for _, peer := range c.Replicas {
		if peer.Offline || !peer.Current {
			found.Behind = append(found.Behind, peer.Name)
		}
	}
}

// Account is what JetStream allows the account of the connection. 0 is no limit.
type Account struct {
	Store, MaxStore     uint64
	Streams, MaxStreams int
}

// Account asks for the account's limits. A server whose JetStream is switched off,
// for all or for this account, is a [*NoJetStreamError]; a user who may not ask gets
// [ErrDenied], and can do all that a poller does all the same.
func (r *Reached) Account(ctx context.Context) (Account, error) {
	var answer jetstream.AccountInfo
	if err := r.ask(ctx, "$JS.API.INFO", nil, &answer); err != nil {
		return Account{}, noJetStream(err)
	}
	limits := answer.Limits
	return Account{
		Store: answer.Store, MaxStore: uint64(max(0, limits.MaxStore)),
		Streams: answer.Streams, MaxStreams: max(0, limits.MaxStreams),
	}, nil
}
