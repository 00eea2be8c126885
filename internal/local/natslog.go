package local

import (
	"fmt"
	"sync"

	"github.com/rs/zerolog"
)

// natsLog passes on what the NATS server says, and keeps the first fatal fault: the server goes on after
// it, half started.
type natsLog struct {
	log zerolog.Logger

	mu    sync.Mutex
	fatal error
}

func (l *natsLog) Noticef(format string, v ...any) { l.say(zerolog.DebugLevel, format, v) }
func (l *natsLog) Warnf(format string, v ...any)   { l.say(zerolog.WarnLevel, format, v) }
func (l *natsLog) Errorf(format string, v ...any)  { l.say(zerolog.WarnLevel, format, v) }
func (l *natsLog) Debugf(format string, v ...any)  { l.say(zerolog.DebugLevel, format, v) }
func (l *natsLog) Tracef(format string, v ...any)  { l.say(zerolog.TraceLevel, format, v) }

func (l *natsLog) Fatalf(format string, v ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.fatal == nil {
		l.fatal = fatalError{text: fmt.Sprintf(format, v...), cause: firstError(v)}
	}
}

func (l *natsLog) say(level zerolog.Level, format string, v []any) {
	l.log.WithLevel(level).Str("from", "nats").Msgf(format, v...)
}

// fault is the first fatal fault, if there was one.
func (l *natsLog) fault() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.fatal
}

// fatalError is what the server said, and the error that it said it about.
type fatalError struct {
	text  string
	cause error
}

func (e fatalError) Error() string { return e.text }
func (e fatalError) Unwrap() error { return e.cause }

func firstError(v []any) error {
	for _, x := range v {
		if err, ok := x.(error); ok {
			return err
		}
	}
	return nil
}
