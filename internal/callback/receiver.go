package callback

import (
	"errors"
	"io"
	"maps"
	"net/http"
	"sync/atomic"
	"time"
)

// Path is where callbacks are taken.
const Path = "/zim/callback"

// maxBody is how many bytes a callback has at the most; ZIM's have some hundreds.
const maxBody = 64 << 10

// judgeAtOnce is how many bodies are read at a time: whoever sends many may keep one
// processor busy, and not the one that polls.
const judgeAtOnce = 1

// Tolerance is how far the time of a callback may be from this machine's. ZIM repeats
// one for a minute, and allows its own clients ten.
const Tolerance = 10 * time.Minute

// Hint is that a user of an app is said to have come, or to have gone.
type Hint struct {
	App    uint32
	User   string // 1 to 64 bytes; nothing else is known of it
	Online bool
}

// Outcome is why a callback came to no hint.
type Outcome string

const (
	// Malformed: it was no POST of a callback.
	Malformed Outcome = "malformed"
	// Forged: the signature is wrong, or the app has no secret here.
	Forged Outcome = "forged"
	// Late: signed more than [Tolerance] ago, or ahead.
	Late Outcome = "late"
	// Foreign: signed, and about another event than a login or logout.
	Foreign Outcome = "foreign"
)

// Outcomes are all of them.
func Outcomes() []Outcome { return []Outcome{Malformed, Forged, Late, Foreign} }

// Receiver takes callbacks over HTTP. Its methods may be called from any goroutine.
type Receiver struct {
	secrets atomic.Pointer[map[uint32]string]
	take    func(Hint) bool
	refused func(app uint32, why Outcome)
	now     func() time.Time
	turn    chan struct{} // of those who judge a body
}

// New returns a receiver that has no secret yet. take is called with each hint and
// must not wait; false asks ZIM to send it once more in some seconds. refused is
// called with each callback that comes to none; app is 0 where it names none that has
// a secret here.
func New(take func(Hint) bool, refused func(app uint32, why Outcome)) *Receiver {
	r := &Receiver{take: take, refused: refused, now: time.Now, turn: make(chan struct{}, judgeAtOnce)}
	r.SetSecrets(nil)
	return r
}

// SetSecrets says which apps callbacks are taken for from now on, and by which secret.
// An empty one is none.
func (r *Receiver) SetSecrets(secrets map[uint32]string) {
	secrets = maps.Clone(secrets)
	maps.DeleteFunc(secrets, func(_ uint32, secret string) bool { return secret == "" })
	r.secrets.Store(&secrets)
}

// ServeHTTP answers 200 to whatever is signed, even if nothing comes of it: ZIM
// repeats what is answered otherwise.
func (r *Receiver) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	if request.URL.Path != Path {
		http.NotFound(w, request)
		return
	}
	if request.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		http.Error(w, "callbacks are posted", http.StatusMethodNotAllowed)
		return
	}
	text, err := io.ReadAll(http.MaxBytesReader(w, request.Body, maxBody))
	if tooLarge := (*http.MaxBytesError)(nil); errors.As(err, &tooLarge) {
		r.refused(0, Malformed)
		http.Error(w, "too large", http.StatusRequestEntityTooLarge)
		return
	}
	if err != nil {
		r.refused(0, Malformed)
		http.Error(w, "the body is cut off", http.StatusBadRequest)
		return
	}
	status := r.judge(text)
	if status != http.StatusOK {
		http.Error(w, http.StatusText(status), status)
	}
}

// judge passes the hint of a callback on, and returns with what to answer.
func (r *Receiver) judge(text []byte) (status int) {
	r.turn <- struct{}{}
	defer func() { <-r.turn }()
	b, err := parse(text)
	if err != nil {
		r.refused(0, Malformed)
		return http.StatusBadRequest
	}
	secret, known := (*r.secrets.Load())[b.app]
	if !known {
		r.refused(0, Forged)
		return http.StatusUnauthorized
	}
	if !b.signed(secret) {
		r.refused(b.app, Forged)
		return http.StatusUnauthorized
	}
	fresh, err := b.fresh(r.now(), Tolerance)
	switch {
	case err != nil:
		r.refused(b.app, Malformed)
		return http.StatusBadRequest
	case !fresh:
		r.refused(b.app, Late)
		return http.StatusOK
	case b.event != userAction:
		r.refused(b.app, Foreign)
		return http.StatusOK
	}
	hint, err := b.hint()
	if err != nil {
		r.refused(b.app, Malformed)
		return http.StatusBadRequest
	}
	if !r.take(hint) {
		return http.StatusServiceUnavailable
	}
	return http.StatusOK
}
