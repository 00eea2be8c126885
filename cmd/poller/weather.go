package main

import (
	"context"
	"database/sql/driver"
	"errors"
	"io"
	"net"
	"slices"

	"github.com/jackc/pgx/v5/pgconn"
)

// readOnly is the code of a write that is refused because the transaction may only read.
const readOnly = "25006"

// passing tells whether what went wrong with the database is weather: a connection that was cut, a server that stops,
// starts, has no room, or is read-only for now.
func passing(err error) bool {
	if refused, ok := errors.AsType[*pgconn.PgError](err); ok {
		return refused.Code == readOnly || slices.Contains([]string{"08", "53", "57"}, refused.Code[:min(2, len(refused.Code))])
	}
	if _, ok := errors.AsType[net.Error](err); ok {
		return true
	}
	if _, ok := errors.AsType[*pgconn.ConnectError](err); ok {
		return true
	}
	for _, cut := range []error{io.EOF, io.ErrUnexpectedEOF, driver.ErrBadConn, context.DeadlineExceeded} {
		if errors.Is(err, cut) {
			return true
		}
	}
	return false
}
