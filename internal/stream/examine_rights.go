package stream

import (
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// probe is a request that proves a right and does nothing: the server judges the right
// first, and then refuses what is asked.
type probe struct{ subject, body string }

// probes are those for what a poller asks of JetStream for an app.
func (s *Stream) probes() []probe {
	all := []probe{
		{"$JS.API.STREAM.NAMES", `{"subject":"` + s.eventProbe().Subject + `"}`},
		// Two bounds that exclude each other, and a key that no user has.
		{"$JS.API.STREAM.PURGE." + BucketStreamName(s.cfg.AppID), `{"filter":"$KV.` + BucketName(s.cfg.AppID) + `.=","seq":1,"keep":1}`},
	}
	for _, name := range []string{s.name(), BucketStreamName(s.cfg.AppID), ControlStreamName(s.cfg.AppID)} {
		all = append(all,
			probe{"$JS.API.STREAM.INFO." + name, ""},
			probe{"$JS.API.STREAM.MSG.GET." + name, ""},  // of no message
			probe{"$JS.API.STREAM.CREATE." + name, "{}"}, // of another name
		)
	}
	return all
}

// eventProbe is a message that proves the right to publish events: of a kind that
// consumers do not know, without a body, and on a condition that no stream can meet. On
// the control stream none is tried: its words are known to plain subscribers, whom a
// message reaches that no stream takes.
func (s *Stream) eventProbe() *nats.Msg {
	return &nats.Msg{Subject: subjectPrefix(s.cfg.AppID) + "doctor.doctor", Header: nats.Header{
		jetstream.ExpectedLastSeqHeader: {"4611686018427387904"},
		jetstream.ExpectedStreamHeader:  {s.name()},
	}}
}

// MayNot returns the subjects on which the user of r may not publish, of those that a
// poller needs for the app, or _INBOX.> where it may not subscribe to its answers.
// Nothing is made, stored, altered or deleted by it. The error is that of the server
// where a right could not be found out, within 5 seconds.
func (s *Stream) MayNot(ctx context.Context, r *Reached) (subjects []string, err error) {
	ctx, cancel := context.WithTimeout(ctx, s.patience)
	defer cancel()
	probes, event := s.probes(), s.eventProbe()
	errs := make([]error, len(probes)+1)
	var asking sync.WaitGroup
	for i, p := range probes {
		asking.Go(func() { errs[i] = r.ask(ctx, p.subject, []byte(p.body), nil) })
	}
	errs[len(probes)] = r.publish(ctx, event)
	asking.Wait()
	for _, got := range errs {
		var refusal *jetstream.APIError
		var denied *deniedError
		switch {
		case got == nil, errors.As(got, &refusal): // one may ask
		case !errors.As(got, &denied):
			err = got
		case !slices.Contains(subjects, denied.subject):
			subjects = append(subjects, denied.subject)
		}
	}
	return subjects, err
}
