package evidence

import (
	"slices"
	"time"
)

// Answer is a request as it was about one user.
type Answer struct {
	AskedAt, At             time.Time
	Lane, Result, RequestID string
	Code                    int64
	Status                  int
	// Asked is how many users it was about.
	Asked int
	Said  Said
}

// Story is what is kept of one user, each list in the order of time.
type Story struct {
	Answers    []Answer
	Suppressed []Suppressed
	// Incidents are all of the app's: whom one was about is not kept.
	Incidents []Incident
	// Since is when the oldest request was sent that is kept, of whomever; zero for
	// none. Of what was before nothing is known here.
	Since time.Time
}

// Of returns what is kept of a user, of the answers the newest ones, most of them
// at the most.
func (b *Book) Of(no uint32, most int) Story {
	b.mu.Lock()
	defer b.mu.Unlock()
	var s Story
	if b.requests.n > 0 {
		s.Since = moment(b.requests.at(0).asked)
	}
	for i := b.requests.n - 1; i >= 0 && len(s.Answers) < most; i-- {
		e := b.requests.at(i)
		if at := slices.Index(e.users, no); at >= 0 {
			s.Answers = append(s.Answers, e.answer(at))
		}
	}
	slices.SortStableFunc(s.Answers, func(a, b Answer) int { return a.AskedAt.Compare(b.AskedAt) })
	for i := range b.dropped.n {
		if d := b.dropped.at(i); d.no == no {
			s.Suppressed = append(s.Suppressed, d.suppressed())
		}
	}
	for i := range b.incidents.n {
		s.Incidents = append(s.Incidents, *b.incidents.at(i))
	}
	return s
}

func (e *entry) answer(at int) Answer {
	return Answer{
		AskedAt: moment(e.asked), At: moment(e.at), Lane: e.lane, Result: e.result, RequestID: e.id,
		Code: e.code, Status: e.status, Asked: len(e.users), Said: e.said[at],
	}
}
