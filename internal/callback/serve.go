package callback

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"
)

const (
	// mostConns is how many connections there are at once; who else comes waits in the
	// queue of the kernel.
	mostConns = 256
	// farewell is how long requests in flight may take to end when Serve is to stop.
	farewell = time.Second
)

// Serve takes callbacks on listen, host:port, until ctx ends; port 0 chooses one. It
// calls ready, unless that is nil, with the address when connections are accepted. When
// ctx ends it closes every connection, at the latest after a second, and returns nil. An
// address that cannot be listened on, or a listener that breaks, is an error.
func Serve(ctx context.Context, listen string, r *Receiver, ready func(addr string)) error {
	var config net.ListenConfig
	l, err := config.Listen(ctx, "tcp", listen)
	if err != nil {
		if ctx.Err() != nil {
			return nil // asked to stop while it was looking the address up
		}
		return fmt.Errorf("take callbacks on %q: %w", listen, err)
	}
	server := &http.Server{
		Handler:           r,
		ReadHeaderTimeout: 3 * time.Second,
		ReadTimeout:       5 * time.Second,
		WriteTimeout:      10 * time.Second,
		IdleTimeout:       30 * time.Second,
		MaxHeaderBytes:    16 << 10,
	}
	broken := make(chan error, 1)
	go func() { broken <- server.Serve(bound(l, mostConns)) }()
	if ready != nil {
		ready(l.Addr().String())
	}
	select {
	case err := <-broken:
		return errors.Join(fmt.Errorf("take callbacks on %s: %w", l.Addr(), err), server.Close())
	case <-ctx.Done():
	}
	polite, cancel := context.WithTimeout(context.WithoutCancel(ctx), farewell)
	defer cancel()
	if err = server.Shutdown(polite); errors.Is(err, context.DeadlineExceeded) {
		err = server.Close()
	}
	if gone := <-broken; !errors.Is(gone, http.ErrServerClosed) {
		err = errors.Join(err, gone)
	}
	if err != nil {
		return fmt.Errorf("stop to take callbacks on %s: %w", l.Addr(), err)
	}
	return nil
}
