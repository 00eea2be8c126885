package main

import (
	"slices"
	"strconv"
	"time"

	"github.com/zim-presence/poller/internal/ledger"
	"github.com/zim-presence/poller/internal/stream"
	"github.com/zim-presence/poller/internal/watchlist"
	"github.com/zim-presence/poller/presence"
)

// explainReport is what poller explain -o json writes.
type explainReport struct {
	AppID   uint32    `json:"app_id"`
	UserID  string    `json:"user_id"`
	At      time.Time `json:"at"`
	Summary []string  `json:"summary"` // sentences

	AddedAt *time.Time `json:"added_at"`          // to the watchlist; null where it is not on it
	Invalid string     `json:"invalid,omitempty"` // why ZIM cannot be asked about the id
	UserNo  uint32     `json:"user_no,omitempty"`
	Status  string     `json:"status"` // as told
	Detail  string     `json:"detail"`
	Since   *time.Time `json:"since"`
	Stale   bool       `json:"stale"`
	SeenAt  *time.Time `json:"seen_at"` // the newest moment at which the told status is known to have been
	// AgeSeconds is how long ago the newest answer about the user was asked for; at the
	// most, where no daemon says it. Null where there was none.
	AgeSeconds *float64     `json:"age_seconds"`
	Held       *explainHeld `json:"held"`

	Events  []explainEvent `json:"events"`  // the newest, in order
	Older   bool           `json:"older"`   // there are more
	Dropped bool           `json:"dropped"` // there were
	Sweeps  []explainSweep `json:"sweeps"`
	Holder  *explainHolder `json:"holder"`
	Daemon  explainDaemon  `json:"daemon"`
	Stream  explainStream  `json:"stream"`

	found *ledger.Explained
	hold  holdConfig
}

// explainHeld is a change that waits to be confirmed.
type explainHeld struct {
	Status string    `json:"status"`
	Detail string    `json:"detail"`
	After  time.Time `json:"after"`
	SeenAt time.Time `json:"seen_at"`
}

// explainEvent is a row of the ledger, and its place in the event stream.
type explainEvent struct {
	Seq         int64      `json:"seq"`
	ID          string     `json:"id"`
	Kind        string     `json:"kind"`
	From        string     `json:"from"`
	To          string     `json:"to"`
	Detail      string     `json:"detail"`
	After       *time.Time `json:"after"`
	ObservedAt  time.Time  `json:"observed_at"`
	ConfirmedAt *time.Time `json:"confirmed_at"`
	RecordedAt  time.Time  `json:"recorded_at"`
	Sweep       int64      `json:"sweep"`
	PrevSeq     int64      `json:"prev_seq"`
	Told        string     `json:"told"`       // "there", or what became of its message; empty where NATS was not asked
	StreamSeq   uint64     `json:"stream_seq"` // of its message; 0 for none
}

// explainSweep is a complete sweep, as it was for the user.
type explainSweep struct {
	Sweep    int64     `json:"sweep"`
	Started  time.Time `json:"started"`
	Finished time.Time `json:"finished"`
	Seen     int       `json:"seen"` // users who were answered
	Missed   bool      `json:"missed"`
}

// explainHolder is who polls the app.
type explainHolder struct {
	Owner   string    `json:"owner"`
	Epoch   int64     `json:"epoch"`
	Expires time.Time `json:"expires_at"`
}

// explainDaemon is what a daemon said.
type explainDaemon struct {
	URL   string       `json:"url"`
	Why   string       `json:"why,omitempty"` // it could not be asked
	Story *daemonStory `json:"story"`
}

// explainStream is what NATS has.
type explainStream struct {
	Name       string        `json:"name"`
	ToldSeq    int64         `json:"told_seq"`      // as the database remembers it
	Why        string        `json:"why,omitempty"` // it could not be asked
	Entry      *explainEntry `json:"entry"`         // of the bucket
	Bucketless bool          `json:"bucket_missing,omitempty"`
}

// explainEntry is what the bucket has of the user.
type explainEntry struct {
	Seq      int64  `json:"seq"`
	ID       string `json:"id"`
	Revision uint64 `json:"revision"`
}

func newExplainReport(app uint32, user string, found *ledger.Explained, now time.Time) *explainReport {
	s := &found.State
	r := &explainReport{
		AppID: app, UserID: user, At: now, AddedAt: orNil(found.Added), UserNo: s.User.No,
		Status: s.Status.String(), Detail: s.Detail.String(), Since: orNil(s.Since), Stale: s.Stale, SeenAt: orNil(found.Seen),
		Events: []explainEvent{}, Older: found.Older, Dropped: found.Dropped, Sweeps: []explainSweep{},
		Stream: explainStream{Name: stream.EventStreamName(app), ToldSeq: found.Told.Seq}, found: found,
	}
	if bad := presence.CheckUserID(user); bad != nil {
		r.Invalid = watchlist.NewInvalid(user, bad).Reason
	}
	if h := found.Held; h != nil {
		r.Held = &explainHeld{h.To.String(), h.Detail.String(), h.After, h.SeenAt}
	}
	if h := found.Holder; h.Owner != "" {
		r.Holder = &explainHolder{h.Owner, h.Epoch, h.Expires}
	}
	for _, sweep := range found.Sweeps {
		if asks(found, sweep) {
			r.Sweeps = append(r.Sweeps, explainSweep(sweep))
		}
	}
	slices.Reverse(r.Sweeps)
	for i := range found.Events {
		r.Events = append(r.Events, newExplainEvent(&found.Events[i]))
	}
	slices.Reverse(r.Events)
	return r
}

// asks tells whether a sweep has asked about the user, as far as that is sure: one that began before the user came may
// have read the watchlist before, and the one that removed the user did not ask any more.
func asks(found *ledger.Explained, sweep ledger.SweepOf) bool {
	s := &found.State
	switch {
	case !found.Known:
		return false
	case sweep.Missed:
		return true
	case !found.Added.IsZero() && sweep.Started.Before(found.Added):
		return false
	case !s.Watched && !s.Since.IsZero():
		return sweep.Finished.Before(s.Since)
	}
	return true
}

func newExplainEvent(e *presence.Event) explainEvent {
	return explainEvent{
		Seq: e.Seq, ID: e.ID(), Kind: e.Kind.String(), From: e.From.String(), To: e.To.String(), Detail: e.Detail.String(),
		After: orNil(e.After), ObservedAt: e.ObservedAt, ConfirmedAt: orNil(e.ConfirmedAt), RecordedAt: e.RecordedAt,
		Sweep: e.Sweep, PrevSeq: e.PrevSeq,
	}
}

// placed notes where the events stand in the stream.
func (r *explainReport) placed(found []stream.Whereabouts) {
	for i := range r.Events {
		at := found[len(found)-1-i]
		r.Events[i].Told, r.Events[i].StreamSeq = string(at.Fate), at.StreamSeq
	}
}

// shown is an id as a person may read it: as it is where that is plain.
func shown(id string) string {
	if presence.CheckUserID(id) == nil && !edgeSpace(id) {
		return id
	}
	return strconv.Quote(id)
}
