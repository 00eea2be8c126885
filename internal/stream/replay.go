package stream

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/zim-presence/poller/presence"
)

// Replay is the stream of one replay. Nobody but the replay writes to it, so that
// the n-th message of the replay is the n-th of the stream.
type Replay struct {
	stream *Stream
	name   string
	maxAge time.Duration
	mark   string
}

// ErrStands says that there is a stream of that name, and that it was not made for
// this replay.
var ErrStands = errors.New("it stands already, and is not of this replay")

// markKey is where a replay's stream says in its metadata for which it was made.
const markKey = "presence-replay"

// ReplayStreamName returns the name of the stream of a replay.
func ReplayStreamName(appID uint32, name string) string {
	return "PRESENCE_REPLAY_" + app(appID) + "_" + name
}

// Replay returns the stream of a replay by name, which keeps its messages for
// maxAge, 0 for ever, if it is made here. It does not speak to the server.
func (s *Stream) Replay(name string, maxAge time.Duration) (*Replay, error) {
	if err := presence.CheckReplayName(name); err != nil {
		return nil, err
	}
	if maxAge < 0 || maxAge > 0 && maxAge < bucketWindow {
		return nil, fmt.Errorf("replay %s: max age %s is under %s", name, maxAge, bucketWindow)
	}
	return &Replay{stream: s, name: name, maxAge: maxAge}, nil
}

// Name returns the name of the JetStream stream.
func (r *Replay) Name() string { return ReplayStreamName(r.stream.cfg.AppID, r.name) }

// Marked returns the same stream, made for one replay alone: mark is unlike that of
// every other one, also of the same name.
func (r *Replay) Marked(mark string) *Replay {
	marked := *r
	marked.mark = mark
	return &marked
}

// Ensure makes the stream where it is missing and compares what stands with what
// is needed, as [Stream.Ensure] does. A stream with another mark is [ErrStands].
func (r *Replay) Ensure(ctx context.Context) (warnings []string, err error) {
	want := r.want()
	mark := aspect{field: "metadata." + markKey, read: func(c *config) string { return c.Metadata[markKey] }, breaks: "it is not of this replay"}
	mend := fmt.Sprintf("poller replay drop %s, and start it again", r.name)
	broken, warnings, err := r.stream.ensure(ctx, &want, true, append(eventAspects(&want), mark), mend)
	if slices.ContainsFunc(broken, func(d Difference) bool { return d.Field == mark.field }) {
		err = fmt.Errorf("%w; mend: %s", ErrStands, mend)
	}
	if err != nil {
		return nil, fmt.Errorf("stream %s: %w", want.Name, err)
	}
	if len(broken) > 0 {
		return warnings, &MismatchError{Differences: broken}
	}
	return warnings, nil
}

// want is the stream as it is made.
func (r *Replay) want() jetstream.StreamConfig {
	window := eventWindow
	if r.maxAge > 0 {
		window = min(window, r.maxAge)
	}
	var metadata map[string]string
	if r.mark != "" {
		metadata = map[string]string{markKey: r.mark}
	}
	cfg := r.stream.cfg
	return jetstream.StreamConfig{
		Name:        r.Name(),
		Description: "A part of the past of app " + app(cfg.AppID) + ", told again. Written by poller replay alone.",
		Subjects:    []string{presence.ReplaySubjects(r.name, cfg.AppID) + "*.*"},
		Retention:   jetstream.LimitsPolicy,
		Storage:     jetstream.FileStorage,
		Discard:     jetstream.DiscardNew,
		MaxAge:      r.maxAge,
		Duplicates:  window,
		Replicas:    cfg.Replicas,
		AllowDirect: true,
		Metadata:    metadata,
	}
}

// End reads how far the stream has come. A message that is not the replay's is an
// error; an [ErrSurprise] means that NATS could not be asked.
func (r *Replay) End(ctx context.Context) (presence.ReplayEnd, error) {
	end, err := r.end(ctx)
	if err != nil {
		return presence.ReplayEnd{}, fmt.Errorf("read the end of %s: %w", r.Name(), err)
	}
	return end, nil
}

func (r *Replay) end(ctx context.Context) (presence.ReplayEnd, error) {
	info, err := r.stream.info(ctx, r.Name())
	if err != nil {
		return presence.ReplayEnd{}, err
	}
	end := presence.ReplayEnd{Counted: true, Told: int64(info.State.LastSeq)}
	if info.State.Msgs == 0 {
		return end, nil
	}
	var answer struct {
		Message stored `json:"message"`
	}
	last := selector{LastBySubject: presence.ReplaySubjects(r.name, r.stream.cfg.AppID) + "*.*"}
	err = r.stream.request(ctx, "STREAM.MSG.GET."+r.Name(), last, &answer)
	if isCode(err, codeNoMessageFound) {
		return end, nil
	}
	if err == nil {
		end.Last, err = r.retold(answer.Message)
		end.Told = max(end.Told, end.Last.Position) // more may have come since the first look
	}
	return end, err
}

// retold reads a message of the stream.
func (r *Replay) retold(msg stored) (presence.Retold, error) {
	header, err := msg.header()
	name, position, ok := presence.ReplayOf(header.Get)
	id, whole := strings.CutPrefix(header.Get(presence.HeaderID), r.name+"/")
	if err != nil || !ok || !whole || name != r.name || uint64(position) != msg.Seq {
		return presence.Retold{}, fmt.Errorf("message %d on %q is not that of the replay: somebody else writes to the stream; mend: poller replay drop %s, and start it again",
			msg.Seq, msg.Subject, r.name)
	}
	told := presence.Retold{Replay: name, Position: position, ID: id, Subject: msg.Subject, Data: msg.Data}
	if text := header.Get(presence.HeaderSeq); text != "" {
		if told.Seq, err = strconv.ParseInt(text, 10, 64); err != nil {
			return presence.Retold{}, fmt.Errorf("message %d: %w", msg.Seq, err)
		}
	}
	return told, nil
}

// Tell appends messages in order, each on condition that the one before it is the
// last of the stream, as [Stream.Append] does with events: their positions say
// where they belong. n is how many from the first on were acked.
func (r *Replay) Tell(ctx context.Context, messages []presence.Retold, acked func(n int)) (n int, err error) {
	if len(messages) == 0 {
		return 0, nil
	}
	it := &round{
		stream: r.stream, name: r.Name(), subjects: presence.ReplaySubjects(r.name, r.stream.cfg.AppID),
		after: uint64(messages[0].Position - 1), end: len(messages),
		message: func(i int) (letter, error) { return letterAgain(&messages[i]), nil },
		acked:   func(i int) { acked(i + 1) },
	}
	if n, err = it.append(ctx); err != nil {
		next := &messages[min(n, len(messages)-1)]
		return n, fmt.Errorf("append %s as message %d of %s: %w", next.ID, next.Position, r.Name(), r.stream.explain(ctx, r.Name(), err))
	}
	return n, nil
}

// Remove deletes the stream with all that it holds; removed is false where there
// is none.
func (r *Replay) Remove(ctx context.Context) (removed bool, err error) {
	var done struct {
		Success bool `json:"success"`
	}
	err = r.stream.request(ctx, "STREAM.DELETE."+r.Name(), struct{}{}, &done)
	if errors.Is(err, ErrMissing) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("delete the stream %s: %w", r.Name(), err)
	}
	return true, nil
}

// letterAgain is a message of a replay on its way.
func letterAgain(m *presence.Retold) letter {
	header := make(nats.Header, 8)
	header[presence.HeaderType] = []string{presence.ContentType}
	header[presence.HeaderReplay] = []string{m.Replay}
	header[presence.HeaderPosition] = []string{strconv.FormatInt(m.Position, 10)}
	if m.Seq > 0 {
		header[presence.HeaderSeq] = []string{strconv.FormatInt(m.Seq, 10)}
	}
	return letter{id: m.MsgID(), subject: m.Subject, header: header, data: m.Data}
}
