package stream

import (
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/zim-presence/poller/presence"
)

const (
	// eventWindow is how long the server of the event stream remembers ids. It is
	// a second belt: the expected sequence holds without it.
	eventWindow = 2 * time.Minute
	// bucketWindow is the shortest that the server takes: the bucket must take the
	// same event again when the event stream was made anew.
	bucketWindow = 100 * time.Millisecond
	// largestEvent is more than any event with its headers needs: a user id of 64
	// bytes takes 384 at the most in the body.
	largestEvent = 4096
)

func (c Config) check() error {
	switch {
	case c.AppID == 0:
		return errors.New("stream: app id is 0")
	case c.MaxAge < 0:
		return fmt.Errorf("stream of app %d: max age %s is negative", c.AppID, c.MaxAge)
	case c.MaxAge > 0 && c.MaxAge < bucketWindow:
		return fmt.Errorf("stream of app %d: max age %s is under %s", c.AppID, c.MaxAge, bucketWindow)
	case c.Replicas < 0 || c.Replicas > 5:
		return fmt.Errorf("stream of app %d: %d replicas, the most is 5", c.AppID, c.Replicas)
	}
	return nil
}

// eventStream is the event stream as it is made. It discards the new, so that
// a limit that an operator sets shows as a full stream and drops nothing.
func (c Config) eventStream() jetstream.StreamConfig {
	window := eventWindow
	if c.MaxAge > 0 {
		window = min(window, c.MaxAge)
	}
	return jetstream.StreamConfig{
		Name:        EventStreamName(c.AppID),
		Description: "Online and offline events of app " + app(c.AppID) + ". Written by the presence poller alone.",
		Subjects:    []string{subjectPrefix(c.AppID) + "*.*"},
		Retention:   jetstream.LimitsPolicy,
		Storage:     jetstream.FileStorage,
		Discard:     jetstream.DiscardNew,
		MaxAge:      c.MaxAge,
		Duplicates:  window,
		Replicas:    c.Replicas,
		AllowDirect: true,
	}
}

// bucketStream is the stream behind the bucket as it is made. It has no
// subjects: the server alone fills it.
func (c Config) bucketStream() jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name:              BucketStreamName(c.AppID),
		Description:       "The last event of each user of app " + app(c.AppID) + ". Derived from " + EventStreamName(c.AppID) + ".",
		Retention:         jetstream.LimitsPolicy,
		Storage:           jetstream.FileStorage,
		Discard:           jetstream.DiscardNew,
		MaxMsgsPerSubject: 1,
		Duplicates:        bucketWindow,
		Replicas:          c.Replicas,
		AllowDirect:       true,
		DenyDelete:        true,
		Sources: []*jetstream.StreamSource{{
			Name: EventStreamName(c.AppID),
			SubjectTransforms: []jetstream.SubjectTransformConfig{{
				Source:      presence.SubjectRoot + ".*.*.*",
				Destination: "$KV." + BucketName(c.AppID) + ".{{wildcard(3)}}",
			}},
		}},
	}
}
