package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
)

// tiding is one event as a subscriber hears it who knows NATS and JSON and no more.
type tiding struct {
	at          time.Time // when it was heard
	id, user    string
	kind        string
	seq         int64
	after       time.Time
	observedAt  time.Time
	confirmedAt time.Time // zero where it is not told
}

// notice is one control event: what became of a sweep or of an incident.
type notice struct {
	at   time.Time
	word string // the last token of the subject
	data map[string]any
}

// ear hears all of an app. What it cannot read fails the test.
type ear struct {
	t *testing.T

	mu       sync.Mutex // guards both
	all      []tiding
	controls []notice
}

func newEar(t *testing.T, url string, app uint32) *ear {
	t.Helper()
	e := &ear{t: t}
	nc, err := nats.Connect(url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	for subject, hear := range map[string]func(*nats.Msg) error{
		fmt.Sprintf("presence.v1.%d.>", app): e.event, fmt.Sprintf("presence.control.v1.%d.>", app): e.control,
	} {
		if _, err := nc.Subscribe(subject, func(m *nats.Msg) {
			if err := hear(m); err != nil {
				t.Errorf("heard %s %s: %v", m.Subject, m.Data, err)
			}
		}); err != nil {
			t.Fatal(err)
		}
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	return e
}

func (e *ear) event(m *nats.Msg) error {
	var body struct {
		ID   string
		Data struct {
			User        string     `json:"user_id"`
			Kind        string     `json:"kind"`
			Seq         int64      `json:"seq"`
			After       *time.Time `json:"after"`
			ObservedAt  time.Time  `json:"observed_at"`
			ConfirmedAt *time.Time `json:"confirmed_at"`
		}
	}
	now := time.Now()
	if err := json.Unmarshal(m.Data, &body); err != nil {
		return err
	}
	d := body.Data
	h := tiding{at: now, id: body.ID, user: d.User, kind: d.Kind, seq: d.Seq, observedAt: d.ObservedAt}
	if d.After != nil {
		h.after = *d.After
	}
	if d.ConfirmedAt != nil {
		h.confirmedAt = *d.ConfirmedAt
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.all = append(e.all, h)
	return nil
}

func (e *ear) control(m *nats.Msg) error {
	var body struct{ Data map[string]any }
	now := time.Now()
	if err := json.Unmarshal(m.Data, &body); err != nil {
		return err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.controls = append(e.controls, notice{at: now, word: m.Subject[strings.LastIndexByte(m.Subject, '.')+1:], data: body.Data})
	return nil
}

// events are those heard so far.
func (e *ear) events() []tiding {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.all)
}

// told are the control events of one sort that were heard so far, and have some value
// in a field.
func (e *ear) told(word, field, value string) (some []notice) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, c := range e.controls {
		if c.word == word && fmt.Sprint(c.data[field]) == value {
			some = append(some, c)
		}
	}
	return some
}

// number is one of a control event's.
func (c notice) number(field string) int {
	f, _ := c.data[field].(float64)
	return int(f)
}
