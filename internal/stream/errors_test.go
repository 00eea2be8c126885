package stream

import (
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// The codes are named as the server names them, and judged.
func TestServerErrorsAreJudged(t *testing.T) {
	for _, c := range []struct {
		code jetstream.ErrorCode
		id   server.ErrorIdentifier
		want error
	}{
		{codeAccountResourcesExceeded, server.JSAccountResourcesExceededErr, ErrFull},
		{codeClusterNotAvailable, server.JSClusterNotAvailErr, ErrSurprise},
		{codeClusterNotLeader, server.JSClusterNotLeaderErr, ErrSurprise},
		{codeInsufficientResources, server.JSInsufficientResourcesErr, ErrFull},
		{codeMemoryResourcesExceeded, server.JSMemoryResourcesExceededErr, ErrFull},
		{codeNoMessageFound, server.JSNoMessageFoundErr, nil},
		{codeStorageResourcesExceeded, server.JSStorageResourcesExceededErr, ErrFull},
		{codeStreamCreate, server.JSStreamCreateErrF, ErrSurprise},
		{codeMessageExceedsMaximum, server.JSStreamMessageExceedsMaximumErr, ErrTooLarge},
		{codeStreamNameInUse, server.JSStreamNameExistErr, nil},
		{codeStreamNotFound, server.JSStreamNotFoundErr, ErrMissing},
		{codeStreamNotMatch, server.JSStreamNotMatchErr, ErrAltered},
		{codeSequenceNotMatch, server.JSStreamSequenceNotMatchErr, ErrSurprise},
		{codeSubjectOverlap, server.JSStreamSubjectOverlapErr, nil},
		{codeWrongLastMessageID, server.JSStreamWrongLastMsgIDErrF, ErrSurprise},
		{codeWrongLastSequence, server.JSStreamWrongLastSequenceErrF, ErrSurprise},
		{codeStoreFailed, server.JSStreamStoreFailedF, ErrSurprise},
		{codeHeaderExceedsMaximum, server.JSStreamHeaderExceedsMaximumErr, ErrTooLarge},
		{codeStreamSealed, server.JSStreamSealedErr, ErrAltered},
		{codeStreamOffline, server.JSStreamOfflineErr, ErrSurprise},
		{codeDuplicateInProcess, server.JSStreamDuplicateMessageConflict, ErrSurprise},
		{codeWrongLastSequenceConstant, server.JSStreamWrongLastSequenceConstantErr, ErrSurprise},
		{codeTooManyRequests, server.JSStreamTooManyRequests, ErrSurprise},
		{codeBatchIncomplete, server.JSAtomicPublishIncompleteBatchErr, ErrSurprise},
		{codeBatchDuplicate, server.JSAtomicPublishContainsDuplicateMessageErr, ErrSurprise},
	} {
		if c.code != jetstream.ErrorCode(c.id) {
			t.Errorf("code %d is %d at the server", c.code, c.id)
		}
		wantKind(t, fmt.Sprint(c.code), apiFault(&jetstream.APIError{ErrorCode: c.code, Description: "x"}), c.want)
	}
}

func TestStoreErrorsAreToldApart(t *testing.T) {
	for _, c := range []struct{ err, want error }{
		{server.ErrMaxMsgs, ErrFull}, {server.ErrMaxBytes, ErrFull}, {server.ErrMaxMsgsPerSubject, ErrFull},
		{server.ErrMsgTooLarge, ErrTooLarge}, {server.ErrStoreClosed, ErrSurprise},
	} {
		told := server.NewJSStreamStoreFailedError(c.err)
		wantKind(t, c.err.Error(), apiFault(&jetstream.APIError{ErrorCode: jetstream.ErrorCode(told.ErrCode), Description: told.Description}), c.want)
	}
}

func TestConnectionErrorsAreJudged(t *testing.T) {
	for err, want := range map[error]error{
		nats.ErrReconnectBufExceeded: ErrSurprise, nats.ErrDisconnected: ErrSurprise, nats.ErrTimeout: ErrSurprise, nats.ErrNoResponders: ErrSurprise,
		nats.ErrHeadersNotSupported: ErrSurprise, io.ErrUnexpectedEOF: ErrSurprise, nats.ErrMaxPayload: ErrTooLarge,
		nats.ErrPermissionViolation: ErrDenied, nats.ErrConnectionClosed: nil, nats.ErrConnectionDraining: nil,
	} {
		got := sendFault(err)
		wantKind(t, err.Error(), got, want)
		if !errors.Is(got, err) {
			t.Errorf("%v does not wrap %v", got, err)
		}
	}
}

// wantKind demands that err is of one kind, or of none for nil.
func wantKind(t *testing.T, what string, err, want error) {
	t.Helper()
	for _, kind := range []error{ErrSurprise, ErrMissing, ErrFull, ErrDenied, ErrTooLarge, ErrAltered} {
		if got := errors.Is(err, kind); got != errors.Is(want, kind) {
			t.Errorf("%s: %v is %q: %t", what, err, kind, got)
		}
	}
}

// What removes a foreign message does so in the bucket as well. A name that somebody else
// has made up is pasted into no shell.
func TestForeignErrorMend(t *testing.T) {
	const rmm = "nats stream rmm PRESENCE_7 9"
	for subject, want := range map[string]string{
		"presence.v1.7.online.a-b_=2E": rmm + "; nats stream purge KV_presence_7 --subject '$KV.presence_7.a-b_=2E'",
		"presence.v1.7.online.'$(x)'":  rmm,
		"presence.v1.$(x).online.a":    rmm,
		"presence.v1.8.online.a":       rmm,
		"presence.v1.7.online.=2e":     rmm,
		"elsewhere":                    rmm,
		"":                             rmm,
	} {
		e := ForeignError{Stream: "PRESENCE_7", Subject: subject, StreamSeq: 9}
		if got := e.Mend(); got != want {
			t.Errorf("%s: Mend() = %s, want %s", subject, got, want)
		}
	}
}
