package stream

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/zim-presence/poller/presence"
)

func leaseTold(n int64) *presence.LeaseTold {
	return &presence.LeaseTold{Mark: presence.Mark{AppID: testApp, Log: "7f3a90c2", Epoch: 1, N: n}, Owner: "me", At: time.Unix(1e9, 0)}
}

// What is told stands there once, as it was written, however often it is told.
func TestTell(t *testing.T) {
	b := newBench(t)
	if err := b.s.Tell(t.Context(), leaseTold(1)); !errors.Is(err, ErrMissing) {
		t.Errorf("told without a stream: %v, want %v", err, ErrMissing)
	}
	if _, err := b.s.EnsureControl(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, n := range []int64{1, 2, 1, 2} {
		if err := b.s.Tell(t.Context(), leaseTold(n)); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.s.Tell(t.Context(), leaseTold(0)); !errors.Is(err, ErrUntellable) || errors.Is(err, ErrSurprise) {
		t.Errorf("a message without a number: %v, want %v", err, ErrUntellable)
	}
	control, err := b.js.Stream(t.Context(), ControlStreamName(testApp))
	if err != nil {
		t.Fatal(err)
	}
	if n := control.CachedInfo().State.Msgs; n != 2 {
		t.Errorf("%d messages are there, want 2", n)
	}
	msg, err := control.GetMsg(t.Context(), 2)
	if err != nil {
		t.Fatal(err)
	}
	want, err := leaseTold(2).Data()
	if err != nil || string(msg.Data) != string(want) || msg.Subject != "presence.control.v1.1234567890.lease" ||
		msg.Header.Get(presence.HeaderID) != "1234567890-7f3a90c2-1-2" || msg.Header.Get(presence.HeaderType) != presence.ContentType {
		t.Errorf("%s %v %s, want %s", msg.Subject, msg.Header, msg.Data, want)
	}
	b.server.Stop()
	if err := b.s.Tell(t.Context(), leaseTold(3)); !errors.Is(err, ErrSurprise) {
		t.Errorf("told while NATS is away: %v, want %v", err, ErrSurprise)
	}
}

// The newest messages of each word are kept. A stream that was made without that
// limit is well, one that keeps too few is not.
func TestEnsureControlLimits(t *testing.T) {
	b := newBench(t)
	if _, err := b.s.EnsureControl(t.Context()); err != nil {
		t.Fatal(err)
	}
	control, err := b.js.Stream(t.Context(), ControlStreamName(testApp))
	if err != nil {
		t.Fatal(err)
	}
	cfg := control.CachedInfo().Config
	if cfg.MaxMsgsPerSubject != 100_000 || cfg.DiscardNewPerSubject {
		t.Errorf("made with %+v", cfg)
	}
	for _, c := range []struct {
		keeps int64
		well  bool
	}{{-1, true}, {1000, true}, {1e6, true}, {999, false}, {1, false}} {
		cfg.MaxMsgsPerSubject = c.keeps
		if _, err := b.js.UpdateStream(t.Context(), cfg); err != nil {
			t.Fatal(err)
		}
		warnings, err := b.s.EnsureControl(t.Context())
		if mismatch := new(MismatchError); len(warnings) > 0 || c.well != (err == nil) || !c.well && !errors.As(err, &mismatch) {
			t.Errorf("keeps %d: %v, %v", c.keeps, warnings, err)
		}
	}
	// With the last one the oldest of a word goes, and other words stay.
	for n := range int64(3) {
		if err := b.s.Tell(t.Context(), leaseTold(n+1)); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.s.TellErased(t.Context(), presence.SeqSetOf(5), time.Now()); err != nil {
		t.Fatal(err)
	}
	got, err := b.s.Erased(t.Context())
	if err != nil || !slices.Equal(got, presence.SeqSetOf(5)) {
		t.Errorf("Erased: %v, %v", got, err)
	}
	info, err := control.Info(t.Context(), jetstream.WithSubjectFilter(">"))
	if err != nil || info.State.Msgs != 2 || info.State.Subjects["presence.control.v1.1234567890.lease"] != 1 {
		t.Errorf("%+v, %v", info.State, err)
	}
}
