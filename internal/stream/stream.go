package stream

import (
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/rs/zerolog"

	"github.com/zim-presence/poller/presence"
)

// patience bounds the wait for one answer of the server, and for the next ack.
const patience = 5 * time.Second

// Config says what one app's streams are to be.
type Config struct {
	// AppID is the app; not 0.
	AppID uint32
	// MaxAge is how long the event stream keeps an event; 0: for ever.
	MaxAge time.Duration
	// Replicas is the number of copies of streams that are made new; 0 means 1.
	Replicas int
}

// Stream is the event stream of one app, with the bucket that is derived from
// it. Its methods may be called from any goroutine; of several Appends at a time
// all but one end in [ErrSurprise].
type Stream struct {
	nc       *nats.Conn
	cfg      Config
	log      zerolog.Logger
	patience time.Duration
}

// New returns the streams of an app on a connection, which stays the caller's
// to close. It does not speak to the server. A config out of range is an error.
func New(nc *nats.Conn, cfg Config, log zerolog.Logger) (*Stream, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	cfg.Replicas = max(cfg.Replicas, 1)
	log = log.With().Uint32("app", cfg.AppID).Logger()
	return &Stream{nc: nc, cfg: cfg, log: log, patience: patience}, nil
}

// EventStreamName returns the name of an app's event stream.
func EventStreamName(appID uint32) string { return "PRESENCE_" + app(appID) }

// BucketName returns the name of an app's key-value bucket.
func BucketName(appID uint32) string { return "presence_" + app(appID) }

// BucketStreamName returns the name of the stream behind [BucketName].
func BucketStreamName(appID uint32) string { return "KV_" + BucketName(appID) }

func app(appID uint32) string { return strconv.FormatUint(uint64(appID), 10) }

// name is the event stream's.
func (s *Stream) name() string { return EventStreamName(s.cfg.AppID) }

// subjectPrefix begins the subject of every event of an app.
func subjectPrefix(appID uint32) string { return presence.SubjectRoot + "." + app(appID) + "." }
