package stream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// request asks the JetStream API, which answers from the leader, and decodes
// the answer. It waits no longer than the stream's patience. The error is judged;
// when the caller gives up it is the context's.
func (s *Stream) request(ctx context.Context, verb string, body, answer any) error {
	data, err := json.Marshal(body)
	if err != nil {
		return err
	}
	bounded, cancel := context.WithTimeout(ctx, s.patience)
	defer cancel()
	msg, err := s.nc.RequestWithContext(bounded, "$JS.API."+verb, data)
	switch {
	case err == nil:
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, context.DeadlineExceeded):
		if denied := s.denied("$JS.API." + verb); denied != nil {
			return denied
		}
		return surprise(fmt.Errorf("no answer to %s within %s", verb, s.patience))
	case errors.Is(err, nats.ErrNoResponders):
		return surprise(fmt.Errorf("no JetStream answers to %s", verb))
	default:
		return sendFault(err)
	}
	var fault struct {
		Error *jetstream.APIError `json:"error"`
	}
	if err := json.Unmarshal(msg.Data, &fault); err != nil {
		return fmt.Errorf("answer to %s: %w", verb, err)
	}
	if fault.Error != nil {
		return apiFault(fault.Error)
	}
	if err := json.Unmarshal(msg.Data, answer); err != nil {
		return fmt.Errorf("answer to %s: %w", verb, err)
	}
	return nil
}

// info asks how a stream stands.
func (s *Stream) info(ctx context.Context, name string) (*jetstream.StreamInfo, error) {
	var info jetstream.StreamInfo
	if err := s.request(ctx, "STREAM.INFO."+name, struct{}{}, &info); err != nil {
		return nil, err
	}
	return &info, nil
}

// denied explains a silence: the server does not answer what it does not
// permit, it only says so on the connection. The words name the subject.
func (s *Stream) denied(subject string) error {
	err := s.nc.LastError()
	if errors.Is(err, nats.ErrPermissionViolation) && strings.Contains(err.Error(), `"`+subject) {
		return fmt.Errorf("%w: %w", ErrDenied, err)
	}
	return nil
}
