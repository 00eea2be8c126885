package follow

import (
	"encoding/json"
	"strconv"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/zim-presence/poller/presence"
)

// message is one of a stream, read.
type message struct {
	pos     uint64 // in the stream
	deliver uint64 // the consumer's count of deliveries
	pending uint64 // how many the consumer has left

	// foreign: no event of the app. Nothing below is set then.
	foreign bool
	event   presence.Event
	// strange: of a kind that this version does not know. The event has neither
	// kind nor times, and To counts only if plain.
	strange, plain bool

	raw jetstream.Msg // nil where it was not delivered by a consumer
}

// decode reads header and body of a message.
func decode(app uint32, header nats.Header, data []byte) (m message) {
	seq, err := strconv.ParseInt(header.Get(presence.HeaderSeq), 10, 64)
	if err != nil || seq < 1 {
		m.foreign = true
		return m
	}
	if m.event, err = presence.ParseEvent(data); err != nil {
		m.strange = true
		m.event, m.plain, err = parseStrange(data)
	}
	if err != nil || m.event.Seq != seq || m.event.AppID != app {
		return message{foreign: true}
	}
	return m
}

// parseStrange reads of an event of any kind what all have; plain tells whether
// its status is one that this version knows.
func parseStrange(data []byte) (e presence.Event, plain bool, err error) {
	var w struct {
		ID   string `json:"id"`
		Type string `json:"type"`
		Data struct {
			AppID   uint32 `json:"app_id"`
			UserID  string `json:"user_id"`
			From    string `json:"from"`
			To      string `json:"to"`
			Seq     int64  `json:"seq"`
			PrevSeq int64  `json:"prev_seq"`
			Sweep   int64  `json:"sweep"`
		} `json:"data"`
	}
	if err := json.Unmarshal(data, &w); err != nil {
		return e, false, err
	}
	e.AppID, e.User.ID, e.Seq, e.PrevSeq, e.Sweep = w.Data.AppID, w.Data.UserID, w.Data.Seq, w.Data.PrevSeq, w.Data.Sweep
	if parts := strings.Split(w.ID, "-"); len(parts) == 3 {
		e.Log = parts[1]
	}
	if w.Type != presence.EventType || e.ID() != w.ID {
		return e, false, errNoEvent
	}
	var errFrom, errTo error
	e.From, errFrom = presence.ParseStatus(w.Data.From)
	e.To, errTo = presence.ParseStatus(w.Data.To)
	return e, errFrom == nil && errTo == nil, nil
}
