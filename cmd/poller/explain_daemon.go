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
const mostAnswers = 20

// daemonStory is what a daemon has in memory of one user.
type daemonStory struct {
	Owner string `json:"owner"` // the process
	Holds bool   `json:"holds"` // the app's lease
	// Since is when the oldest request was sent of which it still knows.
	Since   *time.Time `json:"since"`
	Refused bool       `json:"refused"` // ZIM refuses the id itself
	// The lists are in the order of time.
	Answers   []daemonAnswer   `json:"answers"`
	Decisions []daemonDecision `json:"decisions"`
	Incidents []daemonIncident `json:"incidents"`
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

// daemonDecision is that something that was answered was not told.
type daemonDecision struct {
	At     time.Time  `json:"at"`
	What   string     `json:"what"`
	Why    string     `json:"why"`
	Status string     `json:"status"` // what had been answered
	Detail string     `json:"detail"`
	SeenAt *time.Time `json:"seen_at"`
}

// daemonIncident is an incident of the app.
type daemonIncident struct {
	BeganAt time.Time  `json:"began_at"`
	EndedAt *time.Time `json:"ended_at"`
	Outcome string     `json:"outcome"`
	Flips   int        `json:"flips"`
	Share   float64    `json:"share"`
}

// explain is what this process has in memory of a user.
func (p *parts) explain(ctx context.Context, app uint32, user string) (any, error) {
	for _, a := range p.apps {
		if a.id == app {
			return a.explain(ctx, p.me, user)
		}
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
	return s, nil
}

func newDaemonStory(kept evidence.Story) *daemonStory {
	s := &daemonStory{Since: orNil(kept.Since), Answers: []daemonAnswer{}, Decisions: []daemonDecision{}, Incidents: []daemonIncident{}}
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
	for _, d := range kept.Decisions {
		s.Decisions = append(s.Decisions, daemonDecision{d.At, d.What, d.Why, d.To.String(), d.Detail.String(), orNil(d.SeenAt)})
	}
	for _, i := range kept.Incidents {
		s.Incidents = append(s.Incidents, daemonIncident{i.Began, orNil(i.Ended), i.Outcome, i.Flips, i.Share})
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
