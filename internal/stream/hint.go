package stream

import (
	"encoding/json"
	"fmt"

	"github.com/nats-io/nats.go"
)

// hintSubject is where the replicas of an app hand hints on to the one that holds its
// lease. Nothing keeps what is said there, and nobody has to hear it.
func hintSubject(app uint32) string { return fmt.Sprintf("presence.hint.v1.%d", app) }

// handedOn is a hint on its way.
type handedOn struct {
	UserID string `json:"user_id"`
	Online bool   `json:"online"`
}

// HandHintOn says to whoever hears it that a user of an app is said to have come, or to
// have gone. It does not wait; an error says that nobody can have heard it.
func HandHintOn(nc *nats.Conn, app uint32, user string, online bool) error {
	data, err := json.Marshal(handedOn{user, online})
	if err == nil {
		err = nc.Publish(hintSubject(app), data)
	}
	if err != nil {
		return fmt.Errorf("hand a hint of app %d on: %w", app, err)
	}
	return nil
}

// HearHints calls hear with each hint of an app that is handed on, one at a time, until
// stop is called. What cannot be read is passed over.
func HearHints(nc *nats.Conn, app uint32, hear func(user string, online bool)) (stop func(), err error) {
	sub, err := nc.Subscribe(hintSubject(app), func(m *nats.Msg) {
		var hint handedOn
		if json.Unmarshal(m.Data, &hint) == nil && hint.UserID != "" {
			hear(hint.UserID, hint.Online)
		}
	})
	if err != nil {
		return nil, fmt.Errorf("hear hints of app %d: %w", app, err)
	}
	return func() { _ = sub.Unsubscribe() }, nil // the connection may be closed: so much the better
}
