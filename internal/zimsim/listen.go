package zimsim

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log" //nolint:depguard // http.Server logs through nothing else, and has to be silenced
	"net"
	"net/http"
	"time"
)

// advanceEvery is how much of a living population's time is done at once while nobody looks.
const advanceEvery = 100 * time.Millisecond

// Start listens on addr for the gateway and, unless it is empty, on controlAddr for the control interface; port 0
// chooses one. The context bounds the start alone: what runs is ended by Close, which must be called exactly if
// Start returned nil. Start may be called once.
func (s *Server) Start(ctx context.Context, addr, controlAddr string) error {
	if s.broken != nil {
		return s.broken
	}
	gateway, err := s.listen(ctx, addr)
	if err != nil {
		return fmt.Errorf("gateway: %w", err)
	}
	secure := (*tls.Config)(nil)
	if s.config.TLS {
		if secure, err = s.secure(); err != nil {
			return errors.Join(err, gateway.Close())
		}
	}
	if controlAddr != "" {
		control, err := s.listen(ctx, controlAddr)
		if err != nil {
			return errors.Join(fmt.Errorf("control: %w", err), gateway.Close())
		}
		s.controlURL = "http://" + control.Addr().String()
		s.serve(control, s.Control(), nil)
	}
	s.url = "http://" + gateway.Addr().String()
	if secure != nil {
		s.url = "https://" + gateway.Addr().String()
	}
	stampAll(gateway)
	s.serve(doomableListener{gateway}, s.Gateway(), secure)
	s.serving.Go(s.live)
	s.serving.Go(s.callBack)
	return nil
}

// live advances the populations until Close.
func (s *Server) live() {
	tick := time.NewTicker(advanceEvery)
	defer tick.Stop()
	for {
		select {
		case <-s.closing:
			return
		case <-tick.C:
		}
		for _, a := range s.list() {
			a.Advance()
		}
	}
}

func (s *Server) listen(ctx context.Context, addr string) (net.Listener, error) {
	var config net.ListenConfig
	return config.Listen(ctx, "tcp", addr)
}

func (s *Server) secure() (*tls.Config, error) {
	certificate, pool, err := selfSigned(time.Now())
	if err != nil {
		return nil, err
	}
	s.pool = pool
	return &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12}, nil
}

// serve answers on the listener in a goroutine of its own until Close.
func (s *Server) serve(l net.Listener, h http.Handler, secure *tls.Config) {
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(secure != nil && !s.config.HTTP1)
	server := &http.Server{
		Handler: h, TLSConfig: secure, Protocols: &protocols, ConnContext: withConn, ConnState: s.count,
		ErrorLog: log.New(io.Discard, "", 0), // torn connections are this server's trade
	}
	s.servers = append(s.servers, server)
	s.serving.Go(func() {
		if secure != nil {
			_ = server.ServeTLS(l, "", "") // ends with Close, and with its error
			return
		}
		_ = server.Serve(l)
	})
}

// count keeps the open connections in the crowd that Close waits for.
func (s *Server) count(c net.Conn, state http.ConnState) {
	switch state {
	case http.StateNew:
		s.inside.join()
		select {
		case <-s.closing:
			c.Close() // accepted while the server closed: nobody else would
		default:
		}
	case http.StateClosed, http.StateHijacked:
		s.inside.leave()
	}
}

// URL is the gateway's address, without a slash at the end. Known after Start.
func (s *Server) URL() string { return s.url }

// ControlURL is the control interface's address, without a slash at the end; empty when it does not listen.
func (s *Server) ControlURL() string { return s.controlURL }

// CertPool trusts the gateway's certificate; nil without TLS.
func (s *Server) CertPool() *x509.CertPool { return s.pool }

// Close ends every connection and request, those that hang too, and returns when all are gone. It may be called again.
func (s *Server) Close() {
	s.close.Do(func() {
		close(s.closing)
		for _, server := range s.servers {
			server.Close()
		}
	})
	s.serving.Wait()
	s.inside.wait()
}
