package presence

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// The fixed words of an event, and its headers on NATS.
const (
	EventType    = "presence.transition.v1"
	ContentType  = "application/cloudevents+json"
	HeaderID     = "Nats-Msg-Id"
	HeaderSeq    = "Presence-Seq"
	HeaderType   = "Content-Type"
	timeSixPlace = "2006-01-02T15:04:05.000000Z"
)

// Encoding is the version of the event's bytes. Each ledger row keeps the one
// that first told it, so that a replay is the same bytes years later.
type Encoding int16

const (
	// EncodingV1 is the first encoding, and that of every event that was not held back.
	EncodingV1 Encoding = 1
	// EncodingV2 is the first with confirmed_at behind after, for events that were.
	EncodingV2 Encoding = 2
)

// Event is what is published about one transition.
type Event struct {
	AppID uint32
	// Log is 8 hex digits drawn with the app's row, and again when the database was
	// restored: it tells apart the numberings of two that knew the same app.
	Log      string
	Encoding Encoding
	Transition
	// RecordedAt is the database's clock at the commit. It is not told: an
	// event that was read from its bytes has none.
	RecordedAt time.Time
}

// ID returns the CloudEvents id, <app_id>-<log>-<seq>: the same transition has
// the same id however often it is told.
func (e *Event) ID() string {
	return strconv.FormatUint(uint64(e.AppID), 10) + "-" + e.Log + "-" + strconv.FormatInt(e.Seq, 10)
}

// Subject returns the NATS subject of the live event. That of an erased one ends
// with [ErasedToken].
func (e *Event) Subject() string { return Subject(e.AppID, e.Kind, e.User.ID) }

// Data returns the CloudEvents 1.0 structured JSON of the event in its own
// Encoding: the same event gives the same bytes, always. An Encoding that this
// program does not know, or a status, kind or detail that is none, is an error.
func (e *Event) Data() ([]byte, error) {
	if e.Encoding != EncodingV1 && e.Encoding != EncodingV2 {
		return nil, fmt.Errorf("event %s: encoding %d is not known to this version", e.ID(), e.Encoding)
	}
	if e.Encoding != e.Transition.Encoding() {
		return nil, fmt.Errorf("event %s: encoding %d, confirmed at %v", e.ID(), e.Encoding, e.ConfirmedAt)
	}
	if e.Kind < KindOnline || e.Kind > lastKind || e.From > Online || e.To > Online || e.Detail > NoSession {
		return nil, fmt.Errorf("event %s: no such change: %s from %s to %s %s", e.ID(), e.Kind, e.From, e.To, e.Detail)
	}
	if e.Kind == KindErased && !e.nameless() {
		return nil, fmt.Errorf("event %s: erased, and still tells of somebody", e.ID())
	}
	return e.append(make([]byte, 0, 512)), nil
}

// nameless tells whether an event says nothing of anybody, as an erased one does.
func (e *Event) nameless() bool {
	return e.User.ID == "" && e.From == Unknown && e.To == Unknown && e.Detail == NoDetail && e.After.IsZero() && e.ConfirmedAt.IsZero() && e.PrevSeq == 0
}

// append writes the bytes by hand: no library's change of mind about escapes
// or order may ever change what was told.
func (e *Event) append(b []byte) []byte {
	app := strconv.FormatUint(uint64(e.AppID), 10)
	observed := e.ObservedAt.UTC().Format(timeSixPlace)
	b = append(b, `{"specversion":"1.0","id":"`...)
	b = append(b, e.ID()...)
	b = append(b, `","source":"/zim/`...)
	b = append(b, app...)
	b = append(b, `","type":"`+EventType+`",`...)
	if e.Kind != KindErased { // CloudEvents allows no empty subject
		b = append(b, `"subject":`...)
		b = appendJSONString(b, e.User.ID)
		b = append(b, ',')
	}
	b = append(b, `"time":"`...)
	b = append(b, observed...)
	b = append(b, `","datacontenttype":"application/json","data":{"app_id":`...)
	b = append(b, app...)
	b = append(b, `,"user_id":`...)
	b = appendJSONString(b, e.User.ID)
	b = append(b, `,"kind":"`...)
	b = append(b, e.Kind.String()...)
	b = append(b, `","from":"`...)
	b = append(b, e.From.String()...)
	b = append(b, `","to":"`...)
	b = append(b, e.To.String()...)
	b = append(b, `","detail":"`...)
	b = append(b, e.Detail.String()...)
	b = append(b, `","observed_at":"`...)
	b = append(b, observed...)
	b = append(b, `","after":`...)
	if e.After.IsZero() {
		b = append(b, `null`...)
	} else {
		b = append(b, '"')
		b = e.After.UTC().AppendFormat(b, timeSixPlace)
		b = append(b, '"')
	}
	if e.Encoding == EncodingV2 {
		b = append(b, `,"confirmed_at":"`...)
		b = e.ConfirmedAt.UTC().AppendFormat(b, timeSixPlace)
		b = append(b, '"')
	}
	b = append(b, `,"seq":`...)
	b = strconv.AppendInt(b, e.Seq, 10)
	b = append(b, `,"prev_seq":`...)
	b = strconv.AppendInt(b, e.PrevSeq, 10)
	b = append(b, `,"sweep":`...)
	b = strconv.AppendInt(b, e.Sweep, 10)
	return append(b, `}}`...)
}

// appendJSONString escapes what JSON demands and nothing else. A legal user id
// needs none of it; the bytes of an illegal one are still valid JSON.
func appendJSONString(b []byte, s string) []byte {
	const hex = "0123456789abcdef"
	b = append(b, '"')
	for _, r := range strings.ToValidUTF8(s, "\ufffd") {
		switch {
		case r == '"' || r == '\\':
			b = append(b, '\\', byte(r))
		case r < 0x20 || r == 0x7f:
			b = append(b, '\\', 'u', '0', '0', hex[byte(r)>>4], hex[byte(r)&15])
		default:
			b = append(b, string(r)...)
		}
	}
	return append(b, '"')
}

// ParseEvent reads an event as [Event.Data] writes it. Fields that it does not
// know are passed over, since fields are only added within v1; another type, an
// event without a kind, a number or a time, or an id that contradicts the data
// is an error. User.No is not part of an event and stays 0.
func ParseEvent(data []byte) (Event, error) {
	if e, ok := parseCanonical(data); ok {
		return e, nil
	}
	return parseJSON(data)
}

// parseJSON is ParseEvent for bytes of any form.
func parseJSON(data []byte) (Event, error) {
	var w wireEvent
	if err := json.Unmarshal(data, &w); err != nil {
		return Event{}, fmt.Errorf("read event: %w", err)
	}
	if w.Type != EventType {
		return Event{}, fmt.Errorf("read event %q: type %q is not %q", w.ID, w.Type, EventType)
	}
	parts := strings.Split(w.ID, "-")
	if len(parts) != 3 {
		return Event{}, fmt.Errorf("read event: id %q has not three parts", w.ID)
	}
	d := w.Data
	e := Event{AppID: d.AppID, Log: parts[1], Transition: Transition{
		Seq: d.Seq, PrevSeq: d.PrevSeq, User: User{ID: d.UserID}, Kind: d.Kind, From: d.From, To: d.To,
		Detail: d.Detail, ObservedAt: Instant(d.ObservedAt), Sweep: d.Sweep,
	}}
	if d.After != nil {
		e.After = Instant(*d.After)
	}
	if d.ConfirmedAt != nil {
		e.ConfirmedAt = Instant(*d.ConfirmedAt)
	}
	e.Encoding = e.Transition.Encoding()
	if e.ID() != w.ID {
		return Event{}, fmt.Errorf("read event: id %q contradicts app %d and seq %d", w.ID, d.AppID, d.Seq)
	}
	if e.Kind == 0 || e.Seq < 1 || e.ObservedAt.IsZero() || !tellable(e.ObservedAt) || !tellable(e.After) || !tellable(e.ConfirmedAt) {
		return Event{}, fmt.Errorf("read event %q: no kind, no number or no time that an event can have", w.ID)
	}
	if e.Kind == KindErased && !e.nameless() {
		return Event{}, fmt.Errorf("read event %q: erased, and still tells of somebody", w.ID)
	}
	return e, nil
}

// tellable says whether a time has a year of four digits, as the bytes of an
// event do. A zone may lead out of them.
func tellable(t time.Time) bool { return t.Year() >= 1 && t.Year() <= 9999 }

// wireEvent is the event's JSON for reading.
type wireEvent struct {
	ID   string `json:"id"`
	Type string `json:"type"`
	Data struct {
		AppID       uint32     `json:"app_id"`
		UserID      string     `json:"user_id"`
		Kind        Kind       `json:"kind"`
		From        Status     `json:"from"`
		To          Status     `json:"to"`
		Detail      Detail     `json:"detail"`
		ObservedAt  time.Time  `json:"observed_at"`
		After       *time.Time `json:"after"`
		ConfirmedAt *time.Time `json:"confirmed_at"`
		Seq         int64      `json:"seq"`
		PrevSeq     int64      `json:"prev_seq"`
		Sweep       int64      `json:"sweep"`
	} `json:"data"`
}
