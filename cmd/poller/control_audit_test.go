package main

import (
	"context"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/zim-presence/poller/internal/stream"
	"github.com/zim-presence/poller/presence"
)

// beside is a message of the control stream, and when the server stored it.
type beside struct {
	at time.Time
	presence.Control
}

// controls are the messages of the control stream that a holder of the lease has told, in order.
func (w *world) controls() (all []beside) {
	w.t.Helper()
	w.each(stream.ControlStreamName(worldApp), func(m jetstream.Msg, at time.Time) {
		var c presence.Control
		var err error
		switch m.Subject() {
		case presence.ControlSubject(worldApp, presence.SweepWord):
			var s presence.SweepTold
			s, err = presence.ParseSweepTold(m.Data())
			c = &s
		case presence.ControlSubject(worldApp, presence.IncidentWord):
			var i presence.IncidentTold
			i, err = presence.ParseIncidentTold(m.Data())
			c = &i
		case presence.ControlSubject(worldApp, presence.LeaseWord):
			var l presence.LeaseTold
			l, err = presence.ParseLeaseTold(m.Data())
			c = &l
		default:
			return
		}
		if err != nil {
			w.t.Error(err)
			return
		}
		all = append(all, beside{at, c})
	})
	return all
}

// each visits the messages that a stream holds now; none where there is no stream.
func (w *world) each(name string, visit func(m jetstream.Msg, at time.Time)) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	s, err := w.js.Stream(ctx, name)
	if err != nil {
		return
	}
	reader, err := s.OrderedConsumer(ctx, jetstream.OrderedConsumerConfig{})
	if err != nil {
		w.t.Fatal(err)
	}
	for left := s.CachedInfo().State.Msgs; left > 0; {
		m, err := reader.Next(jetstream.FetchMaxWait(patience))
		if err != nil {
			w.t.Fatalf("%s, %d messages before its end: %v", name, left, err)
		}
		meta, err := m.Metadata()
		if err != nil {
			w.t.Fatal(err)
		}
		visit(m, meta.Timestamp)
		left = meta.NumPending
	}
}

// untilToldOf waits for a message of the control stream.
func (w *world) untilToldOf(what string, is func(presence.Control) bool) {
	w.t.Helper()
	w.until(what+" is told", func() bool {
		for _, c := range w.controls() {
			if is(c.Control) {
				return true
			}
		}
		return false
	})
}

// auditControls holds what was told beside the events against the events and the snapshots.
func (w *world) auditControls() {
	w.t.Helper()
	stored := map[int64]time.Time{}
	w.each(stream.EventStreamName(worldApp), func(m jetstream.Msg, at time.Time) {
		if e, err := presence.ParseEvent(m.Data()); err == nil {
			stored[e.Seq] = at
		}
	})
	var last presence.Mark
	complete := 0
	for _, c := range w.controls() {
		mark := markOf(c.Control)
		if mark.Epoch < last.Epoch || mark.Epoch == last.Epoch && mark.N <= last.N {
			w.t.Errorf("%s is told behind %s", mark.ID(), last.ID())
		}
		last = mark
		s, is := c.Control.(*presence.SweepTold)
		if !is || !s.Finished() {
			continue
		}
		for seq, at := range stored {
			if seq <= s.Seq && at.After(c.at) {
				w.t.Errorf("sweep %d: told with seq %d at %s, and event %d came at %s", s.Sweep, s.Seq, c.at, seq, at)
			}
		}
		if s.Complete {
			complete++
			w.asStored(s)
		}
	}
	if complete == 0 {
		w.t.Error("no complete sweep was told")
	}
}

func markOf(c presence.Control) presence.Mark {
	switch m := c.(type) {
	case *presence.SweepTold:
		return m.Mark
	case *presence.IncidentTold:
		return m.Mark
	case *presence.LeaseTold:
		return m.Mark
	}
	return presence.Mark{}
}

// asStored compares a sweep that was told with its snapshot.
func (w *world) asStored(s *presence.SweepTold) {
	w.t.Helper()
	var seq int64
	var watched, seen, missed int
	var started time.Time
	if err := w.pool.QueryRow(context.Background(), `
		select seq, watched, seen, started, coalesce((select sum(upper(r) - lower(r)) from unnest(missed) r), 0)
		  from snapshots
		 where app_id = $1 and sweep = $2`, worldApp, s.Sweep).Scan(&seq, &watched, &seen, &started, &missed); err != nil {
		w.t.Errorf("sweep %d was told as complete: %v", s.Sweep, err)
		return
	}
	if s.Seq != seq || s.Watched != watched || s.Seen != seen || s.Missed != missed || !s.StartedAt.Equal(started) || s.Seen+s.Missed != s.Watched {
		w.t.Errorf("sweep %d was told as %+v, and is stored with seq %d, watched %d, seen %d, missed %d, started %s",
			s.Sweep, s, seq, watched, seen, missed, started)
	}
}
