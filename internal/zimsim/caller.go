package zimsim

import (
	"bytes"
	"context"
	"crypto/sha1" //nolint:gosec // it is what ZIM signs with
	"encoding/hex"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	// callEvery is how soon a change is called.
	callEvery = 20 * time.Millisecond
	// mostCalls is how many callbacks are under way at once; what is over that is lost.
	mostCalls = 1000
	// callTimeout is of one attempt.
	callTimeout = 5 * time.Second
	// reorderWithin is for how long a callback may wait so that others overtake it.
	reorderWithin = 2 * time.Second
	// callPlace is where the dice of callbacks lie.
	callPlace = 1 << 40
)

// callAgain is how long it waits before it tries again: five times, and then the callback is lost.
func callAgain() []time.Duration {
	return []time.Duration{2 * time.Second, 4 * time.Second, 8 * time.Second, 16 * time.Second, 32 * time.Second}
}

// callBack calls back of the changes of all apps until Close.
func (s *Server) callBack() {
	ctx, cancel := context.WithCancel(context.Background())
	client := &http.Client{Timeout: callTimeout, Transport: &http.Transport{MaxIdleConnsPerHost: 16}}
	var calls sync.WaitGroup
	defer client.CloseIdleConnections()
	defer calls.Wait()
	defer cancel()
	room := make(chan struct{}, mostCalls)
	tick := time.NewTicker(callEvery)
	defer tick.Stop()
	for {
		select {
		case <-s.closing:
			return
		case <-tick.C:
		}
		for _, a := range s.list() {
			set, changes := a.uncalled()
			for _, c := range changes {
				if c.From.Status() == c.To.Status() {
					continue // no session begins or ends
				}
				for _, one := range s.calls(a, set, c) {
					select {
					case room <- struct{}{}:
						calls.Go(func() {
							defer func() { <-room }()
							one.make(ctx, client)
						})
					default:
						a.note(func(n *CallbackStats) { n.Lost++ })
					}
				}
			}
		}
	}
}

// callback is one on its way.
type callback struct {
	app   *App
	url   string
	body  []byte
	after time.Duration
}

// calls are the callbacks of one change: one, or by a fault none or two.
func (s *Server) calls(a *App, set Callbacks, c Change) []callback {
	d := diceAt(s.config.Seed^uint64(a.id)*golden, callPlace, c.Seq)
	lost, late, doubled := d.chance(set.Lost), d.chance(set.Late), d.chance(set.Doubled)
	forged, reordered, wait := d.chance(set.Forged), d.chance(set.Reordered), d.float()
	a.note(func(n *CallbackStats) { n.Called++ })
	if lost {
		a.note(func(n *CallbackStats) { n.Lost++ })
		return nil
	}
	one := callback{app: a, url: set.URL, body: callBody(a.id, set.Secret, c, s.now(), strconv.Itoa(d.below(1_000_000)), forged)}
	if late {
		one.after = set.LateBy
	}
	if reordered {
		one.after += time.Duration(wait * float64(reorderWithin))
	}
	if doubled {
		return []callback{one, one}
	}
	return []callback{one}
}

// make posts it until it is taken, or lost for good.
func (c callback) make(ctx context.Context, client *http.Client) {
	for _, pause := range append([]time.Duration{c.after}, callAgain()...) {
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return
		}
		taken := c.post(ctx, client)
		c.app.note(func(n *CallbackStats) {
			n.Requests++
			n.LastBody = string(c.body)
			if taken {
				n.Taken++
			}
		})
		if taken {
			return
		}
	}
	c.app.note(func(n *CallbackStats) { n.GivenUp++ })
}

func (c callback) post(ctx context.Context, client *http.Client) (taken bool) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url, bytes.NewReader(c.body))
	if err != nil {
		return false
	}
	request.Header.Set("Content-Type", "application/json")
	answer, err := client.Do(request)
	if err != nil {
		return false
	}
	answer.Body.Close()
	return answer.StatusCode/100 == 2
}

// callBody is what a callback says: JSON, of which the documents say that it needs to be url-decoded. Some do, so that
// nobody relies on either.
func callBody(app uint32, secret string, c Change, now time.Time, nonce string, forged bool) []byte {
	timestamp := strconv.FormatInt(now.Unix(), 10)
	signature := signCallback(secret, timestamp, nonce)
	if forged {
		signature = signCallback(secret+"x", timestamp, nonce)
	}
	fields := map[string]any{
		"appid": strconv.FormatUint(uint64(app), 10), "event": "user_action", "timestamp": now.Unix(), "nonce": nonce, "signature": signature,
		"user_id": c.User, "user_name": c.User, "os": "PC", "action": action(c.To), "session_id": strconv.FormatUint(930821637828251648+c.Seq, 10),
	}
	switch c.To {
	case Online:
		fields["login_time"], fields["relogin"] = c.At.Unix(), "0"
	case LoggedOut:
		fields["logout_time"], fields["logout_reason"] = c.At.Unix(), "logout"
	case Timeout:
		fields["offline_time"] = c.At.Unix()
	}
	body, _ := json.Marshal(fields) // texts and numbers
	if c.Seq%2 == 0 {
		return []byte(url.QueryEscape(string(body)))
	}
	return body
}

// action is ZIM's number of what a user did.
func action(to State) int {
	switch to {
	case Online:
		return 0
	case LoggedOut:
		return 1
	default:
		return 2
	}
}

// signCallback is the lower-case hex of the SHA-1 of the three, sorted and joined.
func signCallback(secret, timestamp, nonce string) string {
	parts := []string{secret, timestamp, nonce}
	slices.Sort(parts)
	sum := sha1.Sum([]byte(strings.Join(parts, ""))) //nolint:gosec // as above
	return hex.EncodeToString(sum[:])
}
