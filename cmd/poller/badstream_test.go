package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/zim-presence/poller/internal/zimsim"
)

// badStream is a world whose daemon has told a baseline of each user, and whose
// event stream is about to suffer.
type badStream struct {
	*world
	users  map[string]zimsim.State
	daemon *process
	asMade jetstream.StreamConfig
}

var badStreamName = fmt.Sprintf("PRESENCE_%d", uint32(worldApp))

func newBadStream(t *testing.T) *badStream {
	b := &badStream{world: newWorld(t, "POLLER_HTTP_LISTEN=127.0.0.1:0"), users: population(100)}
	b.set(b.users)
	b.watch(keys(b.users)...)
	b.daemon = b.start("run")
	b.newEvents(0, len(b.users))
	b.untilReady(b.daemon)
	b.asMade = b.info().Config
	return b
}

func (b *badStream) info() *jetstream.StreamInfo {
	b.t.Helper()
	s, err := b.js.Stream(context.Background(), badStreamName)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return &jetstream.StreamInfo{}
	}
	if err != nil {
		b.t.Fatal(err)
	}
	return s.CachedInfo()
}

func (b *badStream) change(change func(*jetstream.StreamConfig)) {
	b.t.Helper()
	c := b.asMade
	change(&c)
	if _, err := b.js.UpdateStream(context.Background(), c); err != nil {
		b.t.Fatal(err)
	}
}

// flip changes users and waits until the changes are in the ledger.
func (b *badStream) flip(n int) {
	b.t.Helper()
	before := b.lastSeq()
	for _, id := range among(b.users, zimsim.Online, n) {
		b.set(map[string]zimsim.State{id: zimsim.LoggedOut})
		b.users[id] = zimsim.LoggedOut
	}
	b.until("the flips are recorded", func() bool { return b.lastSeq() == before+n })
}

func (b *badStream) lastSeq() int {
	return b.count(`select last_seq from apps where app_id = $1`, worldApp)
}

// red waits until readiness names the stream, with these words.
func (b *badStream) red(words string) {
	b.t.Helper()
	check := fmt.Sprintf("stream/%d", uint32(worldApp))
	b.until("a red check that says "+words, func() bool {
		_, red := b.daemon.ready()
		return strings.Contains(red[check], words)
	})
}

// Stream full, altered, written to by somebody else: readiness red with the
// reason and the mend; nothing lost, nothing skipped; sweeps go on meanwhile.
func TestStreamInTrouble(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		what   string
		happen func(*badStream)
		red    string
		mend   func(*badStream)
	}{
		{
			"full", func(b *badStream) { b.change(func(c *jetstream.StreamConfig) { c.MaxMsgs = 103 }) }, "stream is full",
			func(b *badStream) { b.change(func(*jetstream.StreamConfig) {}) },
		},
		{
			"altered", func(b *badStream) { b.change(func(c *jetstream.StreamConfig) { c.Subjects = []string{"elsewhere"} }) },
			"mend: nats stream", func(b *badStream) { b.change(func(*jetstream.StreamConfig) {}) },
		},
		{
			"written to by somebody else", func(b *badStream) {
				if _, err := b.js.Publish(context.Background(), fmt.Sprintf("presence.v1.%d.online.mallory", uint32(worldApp)), []byte("{}")); err != nil {
					b.t.Fatal(err)
				}
			}, "mend: nats stream rmm " + badStreamName + " 101", func(b *badStream) {
				s, err := b.js.Stream(context.Background(), badStreamName)
				if err == nil {
					err = s.DeleteMsg(context.Background(), 101)
				}
				if err != nil {
					b.t.Fatal(err)
				}
				// The bucket has sourced it, too.
				bucket, err := b.js.Stream(context.Background(), "KV_"+strings.ToLower(badStreamName))
				if err == nil {
					err = bucket.Purge(context.Background(), jetstream.WithPurgeSubject("$KV."+strings.ToLower(badStreamName)+".mallory"))
				}
				if err != nil {
					b.t.Fatal(err)
				}
			},
		},
	} {
		t.Run(c.what, func(t *testing.T) {
			t.Parallel()
			b := newBadStream(t)
			c.happen(b)
			b.flip(10)
			b.red(c.red)
			b.flip(5)
			b.sweeps(2)
			c.mend(b)
			b.until("all is told", func() bool { return b.info().State.Msgs == uint64(b.lastSeq()) })
			b.untilReady(b.daemon)
			b.flip(3)
			b.until("all is told", func() bool { return b.info().State.Msgs == uint64(b.lastSeq()) })
			b.daemon.stop()
			b.audit()
		})
	}
}

// Stream missing: it is made anew and goes on where the old one was; nothing is
// told twice, nothing passed over.
func TestStreamMissing(t *testing.T) {
	t.Parallel()
	b := newBadStream(t)
	if err := b.js.DeleteStream(context.Background(), badStreamName); err != nil {
		t.Fatal(err)
	}
	b.flip(10)
	b.until("all is told in the new stream", func() bool { return b.info().State.Msgs == 10 })
	b.untilReady(b.daemon)
	b.daemon.stop()
	for i, e := range b.events(0) {
		if want := int64(len(b.users) + 1 + i); e.Seq != want {
			t.Errorf("message %d of the new stream is event %d, want %d", i+1, e.Seq, want)
		}
	}
}

// Disk of the event stream rolled back: the missing tail is published again.
func TestStreamRolledBack(t *testing.T) {
	t.Parallel()
	b := newBadStream(t)
	old := t.TempDir()
	b.nats.Stop()
	if err := os.CopyFS(old, os.DirFS(b.nats.StoreDir())); err != nil {
		t.Fatal(err)
	}
	b.nats.Start()
	b.flip(15)
	told := b.newEvents(len(b.users), 15)
	b.nats.Stop()
	if err := os.RemoveAll(b.nats.StoreDir()); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(b.nats.StoreDir(), os.DirFS(old)); err != nil {
		t.Fatal(err)
	}
	b.nats.Start()
	for id, again := range b.newEvents(len(b.users), 15) {
		if len(told[id]) != 1 || len(again) != 1 || string(again[0].data) != string(told[id][0].data) {
			t.Errorf("%q is told otherwise than before", id)
		}
	}
	b.untilReady(b.daemon)
	b.flip(3)
	b.newEvents(len(b.users)+15, 3)
	b.daemon.stop()
	b.audit()
}
