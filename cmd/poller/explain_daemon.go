package main

import (
	"context"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/zim-presence/poller/internal/evidence"
	"github.com/zim-presence/poller/internal/status"
)

// mostAnswers is how many answers about a user a daemon shows.
const mostAnswers = 1000

// daemonStory is what a daemon has in memory of one user.
type daemonStory struct {
	Owner string `json:"owner"` // the process
	Holds bool   `json:"holds"` // the app's lease
	// Since is when the oldest request was sent of which it still knows.
	Since   *time.Time `json:"since"`
	Refused bool       `json:"refused"` // ZIM refuses the id itself
	// Trouble is what the check zim/<app> has against ZIM, where this process holds the lease; empty for nothing.
	Trouble string `json:"trouble,omitempty"`
	// The lists are in the order of time.
	Answers    []daemonAnswer     `json:"answers"`
	Suppressed []daemonSuppressed `json:"suppressed"`
	Incidents  []daemonIncident   `json:"incidents"`
}

// daemonAnswer is one request that asked about the user, and what it brought.
type daemonAnswer struct {
	AskedAt   time.Time `json:"asked_at"`
	At        time.Time `json:"at"`
	Lane      string    `json:"lane"`
	Result    string    `json:"result"`
	Code      int64     `json:"code"`
	HTTP      int       `json:"http"`
	RequestID string    `json:"request_id"`
	Asked     int       `json:"asked"`            // users in the request
	Status    string    `json:"status,omitempty"` // what was said of the user
	Detail    string    `json:"detail,omitempty"`
	Missed    string    `json:"missed,omitempty"` // why nothing was
}

// daemonSuppressed is a change that was answered, and will not be told.
type daemonSuppressed struct {
	At     time.Time  `json:"at"`
	Why    string     `json:"why"`
	Status string     `json:"status"` // as answered
	Detail string     `json:"detail"`
	SeenAt *time.Time `json:"seen_at"` // first
}

// daemonIncident is an incident of the app.
type daemonIncident struct {
	Incident int        `json:"incident"` // counts those of a term
	BeganAt  time.Time  `json:"began_at"`
	EndedAt  *time.Time `json:"ended_at"`
	Outcome  string     `json:"outcome"` // released or discarded; empty while it lasts
	Flips    int        `json:"flips"`   // users who were said to have gone
	Share    float64    `json:"share"`   // of those online
}

// explain is what this process has in memory of a user.
func (p *parts) explain(ctx context.Context, app uint32, user string) (any, error) {
	if p.cfg.HTTP.HideUserIDs {
		return nil, status.ErrHidden
	}
	if a := p.apps.find(app); a != nil {
		return a.explain(ctx, p.me, user)
	}
	return nil, fmt.Errorf("app %d is not polled here: %w", app, status.ErrUnknown)
}

func (a *app) explain(ctx context.Context, me, user string) (*daemonStory, error) {
	if !utf8.ValidString(user) || strings.ContainsRune(user, 0) {
		return nil, status.ErrUnknown // no row of the database can have it
	}
	numbers, err := a.ledger.Past().NumbersOf(ctx, []string{user})
	if err != nil {
		return nil, err
	}
	no, known := numbers[user]
	if !known {
		return nil, fmt.Errorf("app %d: %w", a.id, status.ErrUnknown)
	}
	s := newDaemonStory(a.evidence.Of(no, mostAnswers))
	s.Owner, s.Holds, s.Refused = me, a.held(), a.zim.Refuses(user)
	if s.Holds {
		s.Trouble = a.trouble()
	}
	return s, nil
}

func newDaemonStory(kept evidence.Story) *daemonStory {
	s := &daemonStory{
		Since: orNil(kept.Since), Answers: []daemonAnswer{}, Suppressed: []daemonSuppressed{}, Incidents: []daemonIncident{},
	}
	for _, a := range kept.Answers {
		answer := daemonAnswer{
			AskedAt: a.AskedAt, At: a.At, Lane: a.Lane, Result: a.Result, Code: a.Code, HTTP: a.Status, RequestID: a.RequestID,
			Asked: a.Asked, Missed: string(a.Said.Missed()),
		}
		if status, detail, ok := a.Said.Status(); ok {
			answer.Status, answer.Detail = status.String(), detail.String()
		}
		s.Answers = append(s.Answers, answer)
	}
	for _, d := range kept.Suppressed {
		s.Suppressed = append(s.Suppressed, daemonSuppressed{d.At, d.Why, d.To.String(), d.Detail.String(), orNil(d.SeenAt)})
	}
	for _, i := range kept.Incidents {
		incident := daemonIncident{Incident: i.Number, BeganAt: i.Began, EndedAt: orNil(i.Ended), Flips: i.Flips, Share: i.Share}
		switch {
		case i.Released:
			incident.Outcome = "released"
		case !i.Ended.IsZero():
			incident.Outcome = "discarded"
		}
		s.Incidents = append(s.Incidents, incident)
	}
	return s
}

// orNil is null in JSON where there is no time.
func orNil(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}
