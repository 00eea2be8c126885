package stream

import (
	"context"
	"errors"
	"sync"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// probe is a message that proves a right and does nothing: the server judges the
// right first, and then refuses what is asked.
type probe struct {
	subject string
	body    string
	header  nats.Header
}

// probes are the messages for what a poller does at NATS with an app, but for what it
// tells on the control stream: there a message that is refused would still reach
// plain subscribers, under a word that they know. The event's has a kind that
// consumers do not know, and no body.
func (s *Stream) probes() []probe {
	impossible := nats.Header{
		jetstream.ExpectedLastSeqHeader: {"4611686018427387904"},
		jetstream.ExpectedStreamHeader:  {s.name()},
	}
	all := []probe{
		{subject: subjectPrefix(s.cfg.AppID) + "doctor.doctor", header: impossible},
		{subject: "$JS.API.STREAM.NAMES", body: `{"subject":"` + subjectPrefix(s.cfg.AppID) + `doctor.doctor"}`},
		// Two bounds that exclude each other, and a key that no user has.
		{subject: "$JS.API.STREAM.PURGE." + BucketStreamName(s.cfg.AppID),
			body: `{"filter":"$KV.` + BucketName(s.cfg.AppID) + `.=","seq":1,"keep":1}`},
	}
	for _, name := range []string{s.name(), BucketStreamName(s.cfg.AppID), ControlStreamName(s.cfg.AppID)} {
		all = append(all,
			probe{subject: "$JS.API.STREAM.INFO." + name},
			probe{subject: "$JS.API.STREAM.MSG.GET." + name},            // nothing is asked for
			probe{subject: "$JS.API.STREAM.CREATE." + name, body: "{}"}) // of another name
	}
	return all
}

// MayNot returns the subjects on which the user of r may not publish, of those that a
// poller needs for the app. Nothing is made, stored, altered or deleted by it. The
// error is that of the server where the right could not be found out.
func (s *Stream) MayNot(ctx context.Context, r *Reached) (subjects []string, err error) {
	probes := s.probes()
	errs := make([]error, len(probes))
	var asking sync.WaitGroup
	for i, p := range probes {
		asking.Go(func() { errs[i] = r.ask(ctx, p.subject, []byte(p.body), p.header, nil) })
	}
	asking.Wait()
	for i, p := range probes {
		var refusal *jetstream.APIError
		switch got := errs[i]; {
		case got == nil, errors.As(got, &refusal):
		case errors.Is(got, nats.ErrNoResponders): // there is no such stream, and one may ask
		case errors.Is(got, ErrDenied):
			subjects = append(subjects, p.subject)
		default:
			err = got
		}
	}
	return subjects, err
}
