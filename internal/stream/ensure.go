package stream

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"
)

// Ensure makes the event stream and the bucket's stream where they are missing
// and compares what stands with what is needed. It alters nothing that stands.
//
// Differences that break a promise are a [*MismatchError] that lists all of
// them; those that do not are returned as warnings, one line each. An
// [ErrSurprise] means that NATS could not be asked, an [*OldServerError] that it
// was not: it is too old.
func (s *Stream) Ensure(ctx context.Context) (warnings []string, err error) {
	events, bucket := s.cfg.eventStream(), s.cfg.bucketStream()
	broken, warnings, err := s.ensure(ctx, &events, true, eventAspects(&events), remakeStream(events.Name))
	if err != nil {
		return nil, fmt.Errorf("stream %s: %w", events.Name, err)
	}
	// A bucket is not made beside a broken event stream: it would copy what is wrong.
	brokenToo, more, err := s.ensure(ctx, &bucket, len(broken) == 0, bucketAspects(), s.remakeBucket())
	if err != nil {
		return warnings, fmt.Errorf("stream %s: %w", bucket.Name, err)
	}
	warnings = append(warnings, more...)
	if broken = append(broken, brokenToo...); len(broken) > 0 {
		return warnings, &MismatchError{Differences: broken}
	}
	return warnings, nil
}

// remakeStream and remakeBucket are the commands after which the poller makes what stands anew.
func remakeStream(name string) string {
	return fmt.Sprintf("nats stream rm %s, and let the poller make it anew", name)
}

func (s *Stream) remakeBucket() string {
	return fmt.Sprintf("nats kv del %s, and let the poller make it anew", BucketName(s.cfg.AppID))
}

// ensure judges one stream, and makes it first if it is missing and may be made.
func (s *Stream) ensure(ctx context.Context, want *config, mayMake bool, table []aspect, remake string) (broken []Difference, warnings []string, err error) {
	if err := TryVersion(s.nc); err != nil {
		return nil, nil, err
	}
	info, err := s.info(ctx, want.Name)
	if errors.Is(err, ErrMissing) {
		if !mayMake {
			return nil, nil, nil
		}
		info, err = s.create(ctx, want)
	}
	if isCode(err, codeSubjectOverlap) {
		broken, err = s.overlap(ctx, want)
		return broken, nil, err
	}
	if err != nil {
		return nil, nil, err
	}
	broken, warnings = compare(&info.Config, want, table, remake)
	return broken, warnings, nil
}

// create makes a stream and returns how it stands. Another replica may have
// made it meanwhile.
func (s *Stream) create(ctx context.Context, want *config) (*jetstream.StreamInfo, error) {
	var made jetstream.StreamInfo
	err := s.request(ctx, "STREAM.CREATE."+want.Name, want, &made)
	if isCode(err, codeStreamNameInUse) {
		return s.info(ctx, want.Name)
	}
	if err != nil {
		return nil, err
	}
	s.log.Info().Str("stream", want.Name).Msg("stream made")
	return &made, nil
}

// overlap names the streams that already take the events' subjects.
func (s *Stream) overlap(ctx context.Context, want *config) ([]Difference, error) {
	subjects := list(want.Subjects)
	var answer struct {
		Streams []string `json:"streams"`
	}
	ask := struct {
		Subject string `json:"subject"`
	}{subjects}
	if err := s.request(ctx, "STREAM.NAMES", ask, &answer); err != nil {
		return nil, err
	}
	var broken []Difference
	for _, name := range answer.Streams {
		broken = append(broken, Difference{
			Stream: name, Field: "subjects", Have: "overlapping with " + subjects, Want: "apart",
			Breaks: want.Name + " cannot be made beside it", Mend: "nats stream edit " + name + " --subjects=… without them",
		})
	}
	if len(broken) == 0 {
		return nil, surprise(errors.New("a stream that took the same subjects is gone"))
	}
	return broken, nil
}
