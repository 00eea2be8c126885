package status

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// Explain tells what is kept in memory of one user of an app, as a value that can
// be written as JSON. The user id may be any bytes. [ErrUnknown]: this process does
// not poll the app, or has nothing about the user.
type Explain func(ctx context.Context, app uint32, user string) (any, error)

// What [Explain] may answer: ErrUnknown, that there is nothing to explain, and
// ErrHidden, that nobody is told of users here.
var (
	ErrUnknown = errors.New("unknown app or user")
	ErrHidden  = errors.New("users are hidden here, as configured (http.hide_user_ids)")
)

// ExplainHeader has to be in a request for /explain, with any value: a script in a
// web page cannot send a header whose name begins so. Without it a page that has a
// browser read from here, by a name of its own, could learn who is online.
const ExplainHeader = "Sec-Poller"

// explainWithin bounds one answer.
const explainWithin = 5 * time.Second

// explaining serves /explain?app=1234567890&user=alice. One is answered at a time:
// each takes a connection to the database that the polling needs as well.
type explaining struct {
	explain Explain
	turn    chan struct{}
}

func newExplaining(explain Explain) *explaining {
	return &explaining{explain: explain, turn: make(chan struct{}, 1)}
}

func (e *explaining) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get(ExplainHeader) == "" {
		http.Error(w, "the header "+ExplainHeader+" is missing", http.StatusForbidden)
		return
	}
	asked, err := url.ParseQuery(r.URL.RawQuery)
	app, bad := strconv.ParseUint(asked.Get("app"), 10, 32)
	if err != nil || bad != nil || len(asked["user"]) != 1 {
		http.Error(w, "want ?app=ID&user=USER", http.StatusBadRequest)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), explainWithin)
	defer cancel()
	story, err := e.inTurn(ctx, uint32(app), asked.Get("user"))
	switch {
	case errors.Is(err, ErrUnknown):
		http.Error(w, err.Error(), http.StatusNotFound)
	case errors.Is(err, ErrHidden):
		http.Error(w, err.Error(), http.StatusForbidden)
	case err != nil:
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
	default:
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(story) // whoever asked may have gone away
	}
}

func (e *explaining) inTurn(ctx context.Context, app uint32, user string) (any, error) {
	select {
	case e.turn <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	defer func() { <-e.turn }()
	return e.explain(ctx, app, user)
}
