package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"
)

// reachMend says what to do about a server that cannot be reached, which key names; "" for an error that is not the
// network's.
func reachMend(err error, key string) string {
	var unknown x509.UnknownAuthorityError
	var name x509.HostnameError
	var invalid x509.CertificateInvalidError
	var record tls.RecordHeaderError
	var dns *net.DNSError
	switch {
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return "renew the server's certificate, or set this machine's clock: one of the two is off"
	case errors.As(err, &unknown):
		return "have the authority of the server's certificate trusted here: its CA file, in the way that " + key + " takes one, or SSL_CERT_FILE"
	case errors.As(err, &name):
		return "name the server in " + key + " as its certificate does"
	case errors.As(err, &record):
		return "the server does not speak TLS there: look at the port and the scheme of " + key
	case errors.As(err, &dns) && dns.IsNotFound:
		return "correct the host name in " + key + ", or the name servers of this machine"
	case errors.As(err, &dns):
		return "look at the name servers of this machine (/etc/resolv.conf)"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "start the server, or correct host and port in " + key
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return "look at the routes and the firewall between this machine and the server in " + key
	case errors.Is(err, os.ErrNotExist):
		return "start the server, or correct the socket's path in " + key
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded), timedOut(err):
		return "look at the firewall between this machine and the server in " + key + ", and whether that is overloaded"
	}
	return ""
}

func timedOut(err error) bool {
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}

// inShort is an error without what stands around it: the trial is named already.
func inShort(err error) string {
	var none noAnswerError
	var dns *net.DNSError
	var op *net.OpError
	switch {
	case errors.As(err, &none):
		return none.Error()
	case errors.As(err, &dns):
		return fmt.Sprintf("look up %s: %s", dns.Name, dns.Err)
	case errors.As(err, &op):
		return op.Error()
	}
	return strings.TrimSpace(err.Error())
}

// errOf is the cause of a context that has ended, where an error is of that.
func errOf(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}
