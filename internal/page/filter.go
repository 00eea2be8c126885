package page

import (
	"errors"
	"math"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/zim-presence/poller/presence"
)

// mostFilter is how long the part of a user id may be that is looked for, in bytes.
const mostFilter = 256

// filter says which events a browser wants, and how users are named to it.
type filter struct {
	app  uint32        // 0: all
	kind presence.Kind // 0: all
	user string        // part of the name that is shown; empty: all
	veil *veil         // nil: user ids are shown
}

// newFilter reads ?app=&kind=&user=, each of which may be missing or empty.
func newFilter(asked url.Values, veil *veil) (f filter, err error) {
	f.veil = veil
	if f.app, err = appOf(asked); err != nil {
		return f, err
	}
	if kind := asked.Get("kind"); kind != "" {
		if f.kind, err = presence.ParseKind(kind); err != nil {
			return f, errors.New("no such kind")
		}
	}
	if f.user = asked.Get("user"); len(f.user) > mostFilter {
		return f, errors.New("user is too long")
	}
	return f, nil
}

// appOf reads ?app=; 0 where it is missing or empty.
func appOf(asked url.Values) (uint32, error) {
	text := asked.Get("app")
	if text == "" {
		return 0, nil
	}
	app, err := strconv.ParseUint(text, 10, 32)
	if err != nil || app == 0 {
		return 0, errors.New("app is no app id")
	}
	return uint32(app), nil
}

// takes tells whether the browser wants an event. What is looked for is what is
// shown: a hidden id cannot be guessed at.
func (f *filter) takes(t *told) bool {
	return (f.app == 0 || f.app == t.app) && t.kind != 0 && (f.kind == 0 || f.kind == t.kind) &&
		(f.user == "" || strings.Contains(f.name(t), f.user))
}

func (f *filter) name(t *told) string {
	if f.veil == nil {
		return t.user
	}
	return f.veil.name(t.app, t.user)
}

// shown is an event as it is shown.
func (f *filter) shown(t *told) Told {
	s := Told{
		App: t.app, Seq: t.seq, User: f.name(t), Kind: t.kind.String(), From: t.from.String(), To: t.to.String(), Detail: t.detail.String(),
		At: time.UnixMicro(t.observed).UTC(), Delay: math.Round(float64(t.delay)*1e4) / 1e4,
	}
	if t.hasAfter {
		s.After = time.UnixMicro(t.after).UTC().Format(time.RFC3339Nano)
	}
	return s
}
