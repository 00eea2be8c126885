//go:build linux && root

package stream

import (
	"errors"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/rs/zerolog"
)

// A disk that is really full: the server switches its JetStream off and wants a
// restart when there is room again. Until then it is weather; then nothing is
// missing and nothing is twice. It mounts a disk of 2 MB, which takes root:
//
//	make test-root
func TestDiskFull(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=2m"); err != nil {
		t.Fatalf("mount a disk of 2 MB: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	opts := server.Options{JetStream: true, StoreDir: dir, JetStreamMaxStore: 1 << 30}
	ns := serveAs(t, opts)
	opts.Port = nsPort(t, ns.Addr().String())
	b := &bench{nc: dial(t, Options{URL: "nats://" + ns.Addr().String(), Log: zerolog.Nop()})}
	b.js = jetStream(t, b.nc)
	b.s = open(t, b.nc, Config{AppID: testApp})
	ensure(t, b.s)
	b.s.patience = time.Second
	events := story(1, 5000)
	n, err := b.s.Append(t.Context(), 0, events, nil)
	if n == 0 || n == len(events) || !errors.Is(err, ErrSurprise) {
		t.Fatalf("Append = %d, %v; want some and a surprise", n, err)
	}
	if _, err := b.s.Tail(t.Context()); !errors.Is(err, ErrSurprise) {
		t.Errorf("Tail: %v, want a surprise", err)
	}
	if err := syscall.Mount("tmpfs", dir, "tmpfs", syscall.MS_REMOUNT, "size=50m"); err != nil {
		t.Fatal(err)
	}
	ns.Shutdown()
	ns.WaitForShutdown()
	_ = serveAs(t, opts)
	b.s.patience = patience
	eventually(t, "the connection", func() bool { return b.nc.IsConnected() && b.nc.Flush() == nil })
	eventually(t, "the tail", func() bool { _, err = b.s.Tail(t.Context()); return err == nil })
	if at := tail(t, b.s); at.Seq < int64(n) {
		t.Errorf("the stream ends with event %d, and %d were acked", at.Seq, n)
	}
	tell(t, b.s, events, nil)
	wantStored(t, b, events)
	wantBucket(t, b, lastOfEach(t, events))
}
