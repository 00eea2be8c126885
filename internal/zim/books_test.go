package zim

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"
)

// slots is a budget without a limit that keeps books.
type slots struct {
	mu     sync.Mutex
	taken  int
	held   int         // taken, and not yet said to be sent
	pauses []time.Time // for refused requests
	asked  []time.Time // pauses for another reason
	good   int         // accepted
	wrong  error       // with a call
	until  time.Time
	gap    time.Duration // between two slots
	most   int           // refuses with err once so many are taken; 0 for never
	err    error         // see most
}

func (s *slots) Take(ctx context.Context) (func(), error) {
	for {
		wait, err := s.try()
		if err != nil {
			return nil, err
		}
		if wait <= 0 {
			break
		}
		if err := sleep(ctx, wait); err != nil {
			return nil, err
		}
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.taken++
	s.held++
	if s.gap > 0 {
		s.until = time.Now().Add(s.gap)
	}
	return sync.OnceFunc(func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.held--
	}), nil
}

func (s *slots) try() (wait time.Duration, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.most > 0 && s.taken >= s.most {
		return 0, s.err
	}
	return time.Until(s.until), nil
}

// Refused pauses for a second at least, as the limiter does.
func (s *slots) Refused(sent time.Time, wait time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.judge(sent)
	until := time.Now().Add(max(wait, time.Second))
	s.pauses = append(s.pauses, until)
	if until.After(s.until) {
		s.until = until
	}
}

func (s *slots) Pause(until time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = append(s.asked, until)
	if until.After(s.until) {
		s.until = until
	}
}

func (s *slots) Accepted(sent time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.judge(sent)
	s.good++
}

// judge wants the lock.
func (s *slots) judge(sent time.Time) {
	if sent.IsZero() || sent.After(time.Now()) || s.good+len(s.pauses) >= s.taken {
		s.wrong = fmt.Errorf("%d of %d requests answered, now one sent at %s", s.good+len(s.pauses), s.taken, sent)
	}
}

func (s *slots) books() (taken, held int, pauses []time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.taken, s.held, slices.Clone(s.pauses)
}

// logbook collects all log lines.
type logbook struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logbook) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(line)
}

func (l *logbook) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}
