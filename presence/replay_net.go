package presence

import (
	"encoding/json"
	"fmt"
	"strconv"
	"time"
)

// NetChangeType is the CloudEvents type of a [NetChange].
const NetChangeType = "presence.net.v1"

// NetChange tells how a user's status differs between two kept snapshots, where
// the events between are no longer kept. What flipped and flipped back between
// them is not visible. It is no event of the ledger and has no number there.
type NetChange struct {
	AppID uint32
	// Log is that of the ledger: 8 hex digits, as in the ids of events.
	Log  string
	User User
	// Kind is that of the change: KindOnline, KindOffline, KindBaseline, or KindRemoved,
	// of who left the watchlist as of who went stale: snapshots do not say which.
	Kind     Kind
	From, To Status
	// After and ObservedAt bound the moment in which the user became what the second
	// snapshot says: it is in (After, ObservedAt]. Snapshots have what was told: of a
	// change that was held back it is when it was confirmed. After is when the newest kept sweep
	// that saw the user and is not behind the first snapshot began, and zero where the
	// first snapshot knows nothing of the user, or no sweep that saw the user is kept.
	// ObservedAt is when the second snapshot was finished.
	After, ObservedAt time.Time
	// Sweeps are the two snapshots' sweeps.
	Sweeps [2]int64
}

// ID returns the CloudEvents id,
// <app_id>-<log>-net-<sweep>-<sweep>-<number of the user>: the same change has the
// same id in every replay.
func (n *NetChange) ID() string {
	return fmt.Sprintf("%d-%s-net-%d-%d-%d", n.AppID, n.Log, n.Sweeps[0], n.Sweeps[1], n.User.No)
}

// Data returns the CloudEvents 1.0 structured JSON, the same bytes for the same
// change. One that cannot be told is an error.
func (n *NetChange) Data() ([]byte, error) {
	if err := n.check(); err != nil {
		return nil, fmt.Errorf("net change %s: %w", n.ID(), err)
	}
	app, observed := strconv.FormatUint(uint64(n.AppID), 10), n.ObservedAt.UTC().Format(timeSixPlace)
	b := make([]byte, 0, 512)
	b = appendHead(b, app, n.ID(), NetChangeType, n.User.ID, observed)
	b = append(b, `{"app_id":`+app+`,"user_id":`...)
	b = appendJSONString(b, n.User.ID)
	b = append(b, `,"kind":"`+n.Kind.String()+`","from":"`+n.From.String()+`","to":"`+n.To.String()+`","observed_at":"`+observed+`","after":`...)
	if n.After.IsZero() {
		b = append(b, `null`...)
	} else {
		b = append(b, `"`+n.After.UTC().Format(timeSixPlace)+`"`...)
	}
	b = append(b, `,"sweeps":[`...)
	b = strconv.AppendInt(b, n.Sweeps[0], 10)
	b = append(b, ',')
	b = strconv.AppendInt(b, n.Sweeps[1], 10)
	return append(b, `],"net":true}}`...), nil
}

// Again returns the message that tells it in a replay.
func (n *NetChange) Again(replay string, position int64) (Retold, error) {
	data, err := n.Data()
	if err != nil {
		return Retold{}, err
	}
	return Retold{
		Replay: replay, Position: position, ID: n.ID(), Data: data,
		Subject: ReplaySubject(replay, n.AppID, n.Kind.String(), n.User.ID),
	}, nil
}

func (n *NetChange) check() error {
	kind, changed := KindOf(n.From, n.To)
	if !changed || kind != n.Kind || n.From > Online || n.To > Online {
		return fmt.Errorf("no such change: %s from %s to %s", n.Kind, n.From, n.To)
	}
	if n.User.ID == "" || n.ObservedAt.IsZero() || !tellable(n.ObservedAt) || !tellable(n.After) || n.Sweeps[0] < 1 || n.Sweeps[1] <= n.Sweeps[0] {
		return fmt.Errorf("nothing that can be told: user %q between sweeps %d and %d", n.User.ID, n.Sweeps[0], n.Sweeps[1])
	}
	return nil
}

// ParseNetChange reads what [NetChange.Data] writes, the user's number included,
// which its id tells. Fields that it does not know are passed over; another type,
// or an id that contradicts the data, is an error.
func ParseNetChange(data []byte) (NetChange, error) {
	var w struct {
		ID   string `json:"id"`
		Type string `json:"type"`
		Data struct {
			AppID      uint32     `json:"app_id"`
			UserID     string     `json:"user_id"`
			Kind       Kind       `json:"kind"`
			From       Status     `json:"from"`
			To         Status     `json:"to"`
			ObservedAt time.Time  `json:"observed_at"`
			After      *time.Time `json:"after"`
			Sweeps     [2]int64   `json:"sweeps"`
		} `json:"data"`
	}
	if err := json.Unmarshal(data, &w); err != nil {
		return NetChange{}, fmt.Errorf("read net change: %w", err)
	}
	if w.Type != NetChangeType {
		return NetChange{}, fmt.Errorf("read net change %q: type %q is not %q", w.ID, w.Type, NetChangeType)
	}
	log, no := logAndNumber(w.ID)
	d := w.Data
	n := NetChange{
		AppID: d.AppID, Log: log, User: User{No: no, ID: d.UserID}, Kind: d.Kind, From: d.From, To: d.To,
		ObservedAt: Instant(d.ObservedAt), Sweeps: d.Sweeps,
	}
	if d.After != nil {
		n.After = Instant(*d.After)
	}
	if n.ID() != w.ID {
		return NetChange{}, fmt.Errorf("read net change: id %q contradicts app %d and sweeps %d and %d", w.ID, n.AppID, n.Sweeps[0], n.Sweeps[1])
	}
	if err := n.check(); err != nil {
		return NetChange{}, fmt.Errorf("read net change %q: %w", w.ID, err)
	}
	return n, nil
}
