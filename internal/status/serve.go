package status

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"
)

// farewell is how long requests in flight may take to end when Serve is to stop.
const farewell = 2 * time.Second

// Serve answers HTTP on listen, host:port, until ctx ends; port 0 chooses one.
// It calls ready, unless that is nil, with the address when connections are
// accepted. When ctx ends it lets the requests in flight finish for two seconds
// at most, closes every connection, and returns nil. An address that cannot be
// listened on, or a listener that breaks, is an error.
func Serve(ctx context.Context, listen string, h http.Handler, ready func(addr string)) error {
	var config net.ListenConfig
	l, err := config.Listen(ctx, "tcp", listen)
	if err != nil {
		if ctx.Err() != nil {
			return nil //nolint:nilerr // asked to stop while it was looking the address up
		}
		return fmt.Errorf("serve http on %q: %w", listen, err)
	}
	server := &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      30 * time.Second,
		IdleTimeout:       2 * time.Minute, // over the usual interval of scrapes
		MaxHeaderBytes:    16 << 10,
	}
	broken := make(chan error, 1)
	go func() { broken <- server.Serve(l) }()
	if ready != nil {
		ready(l.Addr().String())
	}
	select {
	case err := <-broken:
		return errors.Join(fmt.Errorf("serve http on %s: %w", l.Addr(), err), server.Close())
	case <-ctx.Done():
	}
	err = stop(ctx, server)
	if gone := <-broken; !errors.Is(gone, http.ErrServerClosed) {
		err = errors.Join(err, gone)
	}
	if err != nil {
		return fmt.Errorf("stop http on %s: %w", l.Addr(), err)
	}
	return nil
}

// stop ends the server: politely at first, then whoever is still there.
func stop(ctx context.Context, server *http.Server) error {
	polite, cancel := context.WithTimeout(context.WithoutCancel(ctx), farewell)
	defer cancel()
	err := server.Shutdown(polite)
	if errors.Is(err, context.DeadlineExceeded) {
		return server.Close()
	}
	return err
}
