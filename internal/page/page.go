package page

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Errors of [Config.User].
var (
	// ErrUnknown says that nothing is known of the user.
	ErrUnknown = errors.New("unknown app or user")
	// ErrHidden says that user ids are not shown.
	ErrHidden = errors.New("user ids are hidden here, as configured (http.hide_user_ids); poller explain on the machine, with the database, tells of a user")
)

// userWithin bounds the answer about a user.
const userWithin = 10 * time.Second

// Config is what the page needs of the program.
type Config struct {
	// Board returns what is to be shown now: of all apps with 0, else of one; without
	// apps where it is not polled here. It is called from several goroutines, and must
	// not wait.
	Board func(app uint32) Board
	// User explains a user of an app, as a value that can be written as JSON. The id
	// may be any bytes. One call at a time. The error is [ErrUnknown], or is shown.
	User func(ctx context.Context, app uint32, user string) (any, error)
	// Histories and Live are fed by whoever polls and tells.
	Histories *Histories
	Live      *Live
	// Hosts are the names by which the page may be opened, beside addresses and
	// localhost.
	Hosts []string
	// HideUserIDs has users called by other names, and nothing told of one by id.
	HideUserIDs bool
}

// Page serves the status page: its files, and what they ask for.
//
//	/                  index.html
//	/page/...          the other files
//	/api/board         Board; of one app with ?app=
//	/api/history       History of ?app=, behind ?since=
//	/api/transitions   Batch after Batch, of ?app=, ?kind= and ?user=
//	/api/user          the user ?user= of ?app=
type Page struct {
	cfg    Config
	rest   http.Handler
	guard  guard
	veil   *veil // nil: nothing is hidden
	assets map[string]*asset
	turn   chan struct{} // held by whoever asks about a user
}

// New returns the page. What is not its own is answered by rest.
func New(cfg Config, rest http.Handler) (*Page, error) {
	files, err := fs.Sub(assets, "assets")
	if err != nil {
		return nil, err
	}
	p := &Page{cfg: cfg, rest: rest, guard: newGuard(cfg.Hosts), turn: make(chan struct{}, 1)}
	if p.assets, err = newAssets(files); err != nil {
		return nil, fmt.Errorf("files of the status page: %w", err)
	}
	if cfg.HideUserIDs {
		p.veil = newVeil()
	}
	return p, nil
}

// The policies by which a browser lets the page do what it needs, and an answer
// nothing.
const (
	pagePolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; " +
		"frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
	dataPolicy = "default-src 'none'; frame-ancestors 'none'"
)

// ServeHTTP answers GET and HEAD.
func (p *Page) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := r.URL.Path
	data := strings.HasPrefix(path, "/api/")
	if !data && path != "/" && !strings.HasPrefix(path, "/page/") {
		p.rest.ServeHTTP(w, r)
		return
	}
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Security-Policy", pagePolicy)
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Content-Type-Options", "nosniff")
	err := p.guard.host(r)
	if data {
		h.Set("Content-Security-Policy", dataPolicy)
		if err == nil {
			err = p.guard.site(r)
		}
	}
	switch {
	case err != nil:
		http.Error(w, err.Error(), http.StatusForbidden)
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		h.Set("Allow", "GET, HEAD")
		http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
	case data:
		p.data(w, r)
	case p.assets[path] == nil:
		http.Error(w, "not found", http.StatusNotFound)
	default:
		p.assets[path].ServeHTTP(w, r)
	}
}

// data answers what the page asks for.
func (p *Page) data(w http.ResponseWriter, r *http.Request) {
	asked, err := url.ParseQuery(r.URL.RawQuery)
	app, bad := appOf(asked)
	if err = errors.Join(err, bad); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	switch r.URL.Path {
	case "/api/board":
		p.board(w, r, app)
	case "/api/history":
		p.history(w, r, app, asked)
	case "/api/transitions":
		only, err := newFilter(asked, p.veil)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		p.cfg.Live.serve(w, r, only)
	case "/api/user":
		p.user(w, r, app, asked)
	default:
		http.Error(w, "not found", http.StatusNotFound)
	}
}

func (p *Page) board(w http.ResponseWriter, r *http.Request, app uint32) {
	board := p.cfg.Board(app)
	if app != 0 && len(board.Apps) == 0 {
		http.Error(w, "this process does not poll the app", http.StatusNotFound)
		return
	}
	board.UserIDs = p.veil == nil
	board.trim(app)
	p.veil.board(&board)
	answer(w, r, board)
}

func (p *Page) history(w http.ResponseWriter, r *http.Request, app uint32, asked url.Values) {
	var since time.Time
	if text := asked.Get("since"); text != "" {
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			http.Error(w, "since is no number of seconds", http.StatusBadRequest)
			return
		}
		since = time.Unix(n, 0)
	}
	if app == 0 {
		http.Error(w, "want ?app=ID", http.StatusBadRequest)
		return
	}
	answer(w, r, p.cfg.Histories.History(app, since, time.Now()))
}

// user explains one. It costs the database something, so one is explained at a time.
func (p *Page) user(w http.ResponseWriter, r *http.Request, app uint32, asked url.Values) {
	if p.veil != nil {
		http.Error(w, ErrHidden.Error(), http.StatusForbidden)
		return
	}
	if app == 0 || len(asked["user"]) != 1 {
		http.Error(w, "want ?app=ID&user=USER", http.StatusBadRequest)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), userWithin)
	defer cancel()
	story, err := p.inTurn(ctx, app, asked.Get("user"))
	switch {
	case errors.Is(err, ErrUnknown):
		http.Error(w, strings.TrimPrefix(err.Error(), ErrUnknown.Error()+": "), http.StatusNotFound)
	case err != nil:
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
	default:
		answer(w, r, story)
	}
}

func (p *Page) inTurn(ctx context.Context, app uint32, user string) (any, error) {
	select {
	case p.turn <- struct{}{}:
	case <-ctx.Done():
		return nil, errors.New("others are asking about users; try again")
	}
	defer func() { <-p.turn }()
	return p.cfg.User(ctx, app, user)
}
