package stream

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/zim-presence/poller/presence"
)

// Place is a stream that may hold messages about one user.
type Place struct {
	Stream  string
	subject string // of the user's messages in it
	bucket  bool   // it denies the deletion of messages, and allows a purge
}

// Mention is a message about a user.
type Mention struct {
	StreamSeq uint64
	Seq       int64 // its Presence-Seq, 0 for none
}

// Places returns where messages about a user of this app may be: the event stream,
// the bucket, and the streams of replays. copies names streams that hold what one
// of these held, or what was told again without a stream: they are somebody
// else's, and are not looked into. Where the streams cannot be listed, the first
// two are returned with the error.
func (s *Stream) Places(ctx context.Context, user string) (places []Place, copies []string, err error) {
	id, token := app(s.cfg.AppID), presence.EncodeUser(user)
	places = []Place{
		{Stream: s.name(), subject: subjectPrefix(s.cfg.AppID) + "*." + token},
		{Stream: BucketStreamName(s.cfg.AppID), subject: "$KV." + BucketName(s.cfg.AppID) + "." + token, bucket: true},
	}
	standing, err := s.list(ctx)
	if err != nil {
		return places, nil, fmt.Errorf("list the streams: %w", err)
	}
	again := presence.ReplayRoot + ".*." + id + ".*." + token
	for _, info := range standing {
		if name := info.Config.Name; strings.HasPrefix(name, ReplayStreamName(s.cfg.AppID, "")) {
			places = append(places, Place{Stream: name, subject: again})
		}
	}
	known := map[string]bool{}
	for _, p := range places {
		known[p.Stream] = true
	}
	for found := true; found; { // copies of copies too
		found = false
		for _, info := range standing {
			if name := info.Config.Name; !known[name] && copied(&info.Config, known, again) {
				known[name], found = true, true
				copies = append(copies, name)
			}
		}
	}
	return places, copies, nil
}

// copied tells whether a stream takes its messages from one of those, or messages
// on a subject.
func copied(c *config, from map[string]bool, subject string) bool {
	if c.Mirror != nil && from[c.Mirror.Name] {
		return true
	}
	return slices.ContainsFunc(c.Sources, func(s *jetstream.StreamSource) bool { return from[s.Name] }) ||
		slices.ContainsFunc(c.Subjects, func(s string) bool { return meet(s, subject) })
}

// meet tells whether some subject fits both patterns.
func meet(a, b string) bool {
	as, bs := strings.Split(a, "."), strings.Split(b, ".")
	for i := range min(len(as), len(bs)) {
		if as[i] == ">" || bs[i] == ">" {
			return true
		}
		if as[i] != "*" && bs[i] != "*" && as[i] != bs[i] {
			return false
		}
	}
	return len(as) == len(bs)
}

// list returns all streams of the account. One that a cluster cannot look at is
// an [ErrSurprise].
func (s *Stream) list(ctx context.Context) (all []*jetstream.StreamInfo, err error) {
	for {
		var page struct {
			Total   int                     `json:"total"`
			Streams []*jetstream.StreamInfo `json:"streams"`
			Missing []string                `json:"missing"`
		}
		ask := struct {
			Offset int `json:"offset"`
		}{len(all)}
		if err := s.request(ctx, "STREAM.LIST", ask, &page); err != nil {
			return nil, err
		}
		if len(page.Missing) > 0 {
			return nil, surprise(fmt.Errorf("the cluster does not say how %s stand", list(page.Missing)))
		}
		all = append(all, page.Streams...)
		if len(page.Streams) == 0 || len(all) >= page.Total {
			return all, nil
		}
	}
}

// Mentions returns the user's messages in a place, in their order; none where
// there is no such stream.
func (s *Stream) Mentions(ctx context.Context, p Place) (found []Mention, err error) {
	for next := uint64(1); ; {
		var answer struct {
			Message stored `json:"message"`
		}
		err := s.request(ctx, "STREAM.MSG.GET."+p.Stream, selector{Seq: next, NextBySubject: p.subject}, &answer)
		if isCode(err, codeNoMessageFound) || errors.Is(err, ErrMissing) {
			return found, nil
		}
		if err != nil {
			return found, fmt.Errorf("look for the user in %s: %w", p.Stream, err)
		}
		seq, _, err := s.numbered(answer.Message)
		if foreign := new(ForeignError); err != nil && !errors.As(err, &foreign) {
			return found, err
		}
		found = append(found, Mention{answer.Message.Seq, seq})
		next = answer.Message.Seq + 1
	}
}
