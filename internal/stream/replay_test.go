package stream

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/zim-presence/poller/internal/local/localtest"
	"github.com/zim-presence/poller/presence"
)

// again returns the events of a story as messages of a replay.
func again(t testing.TB, name string, first, last int64) (messages []presence.Retold) {
	t.Helper()
	for i, e := range story(first, last) {
		m, err := e.Again(name, int64(i+1))
		if err != nil {
			t.Fatal(err)
		}
		messages = append(messages, m)
	}
	return messages
}

// retelling returns a replay whose stream is made.
func retelling(t testing.TB, b *bench, name string) *Replay {
	t.Helper()
	r, err := b.s.Replay(name, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	if warnings, err := r.Ensure(t.Context()); err != nil || len(warnings) > 0 {
		t.Fatalf("Ensure: %q, %v", warnings, err)
	}
	return r
}

func silently(int) {}

func TestAReplayIsToldBehindItsEnd(t *testing.T) {
	b := newBench(t)
	r := retelling(t, b, "audit")
	if end, err := r.End(t.Context()); err != nil || fmt.Sprint(end) != fmt.Sprint(presence.ReplayEnd{Counted: true}) {
		t.Errorf("the end of an empty stream is %+v, %v", end, err)
	}
	messages := again(t, "audit", 41, 3000)
	var acked []int
	n, err := r.Tell(t.Context(), messages[:2000], func(n int) { acked = append(acked, n) })
	if n != 2000 || err != nil || len(acked) != 2000 || acked[0] != 1 || acked[1999] != 2000 {
		t.Fatalf("Tell = %d, %v, acked %d times; want 2000", n, err, len(acked))
	}
	end, err := r.End(t.Context())
	if err != nil || end.Told != 2000 || fmt.Sprint(end.Last) != fmt.Sprint(messages[1999]) {
		t.Errorf("end %+v, %v; want that of message 2000", end, err)
	}
	// What comes again, or too early, is refused.
	for _, from := range []int{0, 1999, 2001} {
		if n, err := r.Tell(t.Context(), messages[from:], silently); n != 0 || !errors.Is(err, ErrSurprise) {
			t.Errorf("Tell from message %d on = %d, %v; want 0 and a surprise", from+1, n, err)
		}
	}
	// What was in flight behind the refused may have been the right next one, and may
	// still be on its way.
	eventually(t, "the rest is told", func() bool {
		if end, err = r.End(t.Context()); err != nil || fmt.Sprint(end.Last) != fmt.Sprint(messages[end.Told-1]) {
			t.Fatalf("end %+v, %v; want that of message %d", end, err, end.Told)
		}
		rest := messages[end.Told:]
		n, err := r.Tell(t.Context(), rest, silently)
		if err != nil && !errors.Is(err, ErrSurprise) {
			t.Fatalf("Tell = %d, %v; want %d", n, err, len(rest))
		}
		return err == nil
	})
	if n, err := r.Tell(t.Context(), nil, silently); n != 0 || err != nil {
		t.Errorf("Tell of nothing = %d, %v", n, err)
	}
	// A second one of the same events is whole.
	other := retelling(t, b, "audit-2")
	if n, err := other.Tell(t.Context(), again(t, "audit-2", 41, 3000), silently); n != 2960 || err != nil {
		t.Errorf("a second replay: %d, %v", n, err)
	}
	for _, want := range []bool{true, false} {
		if removed, err := other.Remove(t.Context()); removed != want || err != nil {
			t.Errorf("Remove = %t, %v; want %t", removed, err, want)
		}
	}
	if _, err := other.End(t.Context()); !errors.Is(err, ErrMissing) {
		t.Errorf("End of a removed one: %v, want %v", err, ErrMissing)
	}
}

// What stands is compared and never altered.
func TestAReplayStreamThatStands(t *testing.T) {
	b := newBench(t)
	for _, c := range []struct {
		name     string
		alter    func(*config)
		broken   string
		warnings int
	}{
		{"aged", func(c *config) { c.MaxAge = 2 * time.Hour }, "", 1},
		{"memory", func(c *config) { c.Storage = jetstream.MemoryStorage }, "storage", 0},
		{"greedy", func(c *config) { c.Subjects = []string{"presence.replay.greedy.>"} }, "subjects", 0},
	} {
		r, err := b.s.Replay(c.name, time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		cfg := r.want()
		c.alter(&cfg)
		if _, err := b.js.CreateStream(t.Context(), cfg); err != nil {
			t.Fatal(err)
		}
		warnings, err := r.Ensure(t.Context())
		var mismatch *MismatchError
		if c.broken == "" && err != nil || c.broken != "" && (!errors.As(err, &mismatch) || mismatch.Differences[0].Field != c.broken) || len(warnings) != c.warnings {
			t.Errorf("%s: warnings %q, error %v", c.name, warnings, err)
		}
		if err != nil && c.broken == "storage" && !strings.Contains(err.Error(), "poller replay drop memory") {
			t.Errorf("%s: no mend in %v", c.name, err)
		}
	}
	for mark, stands := range map[string]bool{"mine": false, "another": true, "": true} {
		r, err := b.s.Replay("marked-"+mark, time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		cfg := r.Marked(mark).want()
		if mark == "mine" {
			cfg.Metadata["_nats.note"] = "the server's own"
		}
		if _, err := b.js.CreateStream(t.Context(), cfg); err != nil {
			t.Fatal(err)
		}
		warnings, err := r.Marked("mine").Ensure(t.Context())
		if errors.Is(err, ErrStands) != stands || (err != nil) != stands || len(warnings) > 0 {
			t.Errorf("a stream with the mark %q: %q, %v", mark, warnings, err)
		}
		if stands && !strings.Contains(err.Error(), "poller replay drop marked-"+mark) {
			t.Errorf("no mend in %v", err)
		}
	}
	for _, c := range []struct {
		name string
		age  time.Duration
	}{{"a.b", 0}, {"", 0}, {"ok", -1}, {"ok", time.Millisecond}} {
		if _, err := b.s.Replay(c.name, c.age); err == nil {
			t.Errorf("a replay %q of %s is no error", c.name, c.age)
		}
	}
}

func TestAReplayWithoutAStream(t *testing.T) {
	b := newBench(t)
	if _, err := b.s.CoreReplay("a b"); err == nil {
		t.Error("a name with a space is no error")
	}
	c, err := b.s.CoreReplay("loud")
	if err != nil {
		t.Fatal(err)
	}
	heard, err := dial(t, Options{URL: b.server.URL()}).SubscribeSync("presence.replay.loud.>")
	if err != nil {
		t.Fatal(err)
	}
	if err := heard.SetPendingLimits(-1, -1); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(heard.AutoUnsubscribe(5000), b.nc.Flush()); err != nil {
		t.Fatal(err)
	}
	messages := again(t, "loud", 1, 3000)
	var acked int
	if n, err := c.Tell(t.Context(), messages, func(n int) { acked = n }); n != 3000 || acked != 3000 || err != nil {
		t.Errorf("Tell = %d, %d acked, %v; want 3000", n, acked, err)
	}
	for _, want := range messages {
		msg, err := heard.NextMsg(time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		if msg.Subject != want.Subject || string(msg.Data) != string(want.Data) || msg.Header.Get("Nats-Msg-Id") != want.MsgID() {
			t.Fatalf("heard %s %v, want %+v", msg.Subject, msg.Header, want)
		}
	}
	b.server.Stop()
	eventually(t, "the client sees it", func() bool { return !b.nc.IsConnected() })
	if n, err := c.Tell(t.Context(), messages, silently); n != 0 || !errors.Is(err, ErrSurprise) {
		t.Errorf("Tell without a server = %d, %v; want 0 and a surprise", n, err)
	}
	if _, err := c.Ensure(t.Context()); !errors.Is(err, ErrSurprise) {
		t.Errorf("Ensure without a server: %v, want a surprise", err)
	}
}

func TestAReplayThatIsDenied(t *testing.T) {
	server := localtest.NATSConfigured(t, `authorization { users: [ { user: u, password: p, permissions: { publish: { deny: ["presence.replay.>"] } } } ] }`)
	nc := dial(t, Options{URL: "nats://u:p@" + server.Addr()})
	s := open(t, nc, Config{AppID: testApp})
	c, err := s.CoreReplay("loud")
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is connected", nc.IsConnected)
	if n, err := c.Tell(t.Context(), again(t, "loud", 1, 3), silently); n != 0 || !errors.Is(err, ErrDenied) || !errors.Is(err, nats.ErrPermissionViolation) {
		t.Errorf("Tell = %d, %v; want 0 and %v", n, err, ErrDenied)
	}
}
