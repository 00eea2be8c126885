package stream

import (
	"errors"
	"fmt"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/zim-presence/poller/presence"
)

// Weather: it passes, or reading the tail again shows the way on.
var (
	// ErrSurprise: NATS is away, has no leader, did not answer in time, or the
	// stream was not where it was expected. Read the tail again.
	ErrSurprise = errors.New("cannot be reached, or not where it was expected")
	// ErrDuplicate: the server still remembers the id of a message that the stream
	// no longer holds and takes no second one until its duplicate window, 2 minutes
	// as it is made, has passed. Every ErrDuplicate is an [ErrSurprise] too.
	ErrDuplicate = errors.New("id is still in the duplicate window")
)

// Broken: somebody has to mend it. None of these is an [ErrSurprise].
var (
	// ErrMissing: there is no such stream. [Stream.Ensure] makes it.
	ErrMissing = errors.New("stream is missing")
	// ErrFull: a limit of the stream, the account or the server is reached.
	ErrFull = errors.New("stream is full")
	// ErrDenied: the credentials do not allow it.
	ErrDenied = errors.New("not permitted")
	// ErrTooLarge: the server or the stream takes no message of that size.
	ErrTooLarge = errors.New("message is too large")
	// ErrUntellable: what was to be told contradicts itself. It never will be.
	ErrUntellable = errors.New("cannot be told")
	// ErrAltered: the stream is sealed, or another one took the message.
	ErrAltered = errors.New("stream is altered")
)

// ForeignError says that the end of the stream is a message that is no event of
// the poller: somebody else writes to the stream.
type ForeignError struct {
	Stream    string
	Subject   string
	StreamSeq uint64
}

func (e *ForeignError) Error() string {
	return fmt.Sprintf("message %d of %s on %q is no event of the poller, it has no valid Presence-Seq: somebody else writes to the stream; mend: %s",
		e.StreamSeq, e.Stream, e.Subject, e.Mend())
}

// Mend holds the commands that remove the message: from the stream, and from the
// bucket, which has taken it over.
func (e *ForeignError) Mend() string {
	mend := fmt.Sprintf("nats stream rmm %s %d", e.Stream, e.StreamSeq)
	app := strings.TrimPrefix(e.Stream, "PRESENCE_")
	behind, ours := strings.CutPrefix(e.Subject, "presence.v1."+app+".")
	_, user, _ := strings.Cut(behind, ".") // behind the kind
	// What somebody else has written there is not for a shell unless it is a user.
	if _, err := presence.DecodeUser(user); !ours || err != nil || user == "" {
		return mend
	}
	return mend + fmt.Sprintf("; nats stream purge KV_presence_%s --subject '$KV.presence_%s.%s'", app, app, user)
}

// surprise marks an error as weather.
func surprise(err error) error {
	if errors.Is(err, nats.ErrReconnectBufExceeded) {
		err = awayError{err}
	}
	return fmt.Errorf("%w: %w", ErrSurprise, err)
}

// awayError is what a client without a connection answers. It speaks of a buffer,
// which is switched off here, and of help to nobody.
type awayError struct{ error }

func (awayError) Error() string   { return "no connection to NATS" }
func (e awayError) Unwrap() error { return e.error }

// sendFault judges an error of the connection. What it does not know is
// weather: the connection comes back by itself unless it was closed.
func sendFault(err error) error {
	switch {
	case errors.Is(err, nats.ErrConnectionClosed), errors.Is(err, nats.ErrConnectionDraining), errors.Is(err, nats.ErrInvalidConnection):
		return err
	case errors.Is(err, nats.ErrMaxPayload):
		return fmt.Errorf("%w: %w", ErrTooLarge, err)
	case errors.Is(err, nats.ErrPermissionViolation):
		return fmt.Errorf("%w: %w", ErrDenied, err)
	}
	return surprise(err)
}

// Error codes of the JetStream API, as the server names them.
const (
	codeAccountResourcesExceeded  = 10002
	codeClusterNotAvailable       = 10008
	codeClusterNotLeader          = 10009
	codeInsufficientResources     = 10023
	codeMemoryResourcesExceeded   = 10028
	codeNoMessageFound            = 10037
	codeSequenceNotFound          = 10043
	codeStorageResourcesExceeded  = 10047
	codeStreamCreate              = 10049
	codeMessageExceedsMaximum     = 10054
	codeMsgDeleteFailed           = 10057
	codeStreamNameInUse           = 10058
	codeStreamNotFound            = 10059
	codeStreamNotMatch            = 10060
	codeSequenceNotMatch          = 10063
	codeSubjectOverlap            = 10065
	codeWrongLastMessageID        = 10070
	codeWrongLastSequence         = 10071
	codeStoreFailed               = 10077
	codeHeaderExceedsMaximum      = 10097
	codeStreamSealed              = 10109
	codePurgeFailed               = 10110
	codeStreamOffline             = 10118
	codeDuplicateInProcess        = 10158
	codeWrongLastSequenceConstant = 10164
	codeTooManyRequests           = 10167
	codeBatchIncomplete           = 10176
	codeBatchDuplicate            = 10201
)

// apiFault judges an error that the server answered. What it does not know is
// broken.
func apiFault(err *jetstream.APIError) error {
	switch err.ErrorCode {
	case codeWrongLastMessageID, codeWrongLastSequence, codeWrongLastSequenceConstant, codeSequenceNotMatch, codeDuplicateInProcess, codeBatchDuplicate,
		codeBatchIncomplete, codeTooManyRequests, codeClusterNotAvailable, codeClusterNotLeader, codeStreamOffline:
		return surprise(err)
	case codeStreamCreate:
		// The server is still removing the files of a stream of that name.
		return surprise(err)
	case codeStreamNotFound:
		return fmt.Errorf("%w: %w", ErrMissing, err)
	case codeAccountResourcesExceeded, codeInsufficientResources, codeMemoryResourcesExceeded, codeStorageResourcesExceeded:
		return fmt.Errorf("%w: %w", ErrFull, err)
	case codeMessageExceedsMaximum, codeHeaderExceedsMaximum:
		return fmt.Errorf("%w: %w", ErrTooLarge, err)
	case codeStreamSealed, codeStreamNotMatch:
		return fmt.Errorf("%w: %w", ErrAltered, err)
	case codeStoreFailed:
		return storeFault(err)
	}
	return err
}

// storeFault judges the one code under which the server tells several things,
// apart by their text alone.
func storeFault(err *jetstream.APIError) error {
	switch {
	case strings.HasPrefix(err.Description, "maximum "):
		return fmt.Errorf("%w: %w", ErrFull, err)
	case strings.Contains(err.Description, "too large"):
		return fmt.Errorf("%w: %w", ErrTooLarge, err)
	}
	// The store is closed because the server stops.
	return surprise(err)
}

// isCode tells whether the server answered with that code.
func isCode(err error, code jetstream.ErrorCode) bool {
	var api *jetstream.APIError
	return errors.As(err, &api) && api.ErrorCode == code
}
