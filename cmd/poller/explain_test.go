package main

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/zim-presence/poller/internal/local/localtest"
	"github.com/zim-presence/poller/internal/zimsim"
	"github.com/zim-presence/poller/presence"
)

// wiretap writes down what ZIM answered, by request id: the text of the answer, and who was asked about.
type wiretap struct {
	mu      sync.Mutex
	answers map[string]tapped
}

type tapped struct {
	users []string
	said  map[string]string // of whom it said a status
	at    time.Time
}

// tap puts a wiretap before the world's ZIM.
func (w *world) tap() *wiretap {
	tap := &wiretap{answers: map[string]tapped{}}
	gateway := w.sim.Gateway()
	server := httptest.NewServer(http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
		kept := httptest.NewRecorder()
		gateway.ServeHTTP(kept, r)
		tap.write(r, kept.Body.Bytes())
		for name, values := range kept.Header() {
			out.Header()[name] = values
		}
		out.WriteHeader(kept.Code)
		_, _ = out.Write(kept.Body.Bytes())
	}))
	w.t.Cleanup(server.Close)
	w.env = append(w.env, "POLLER_ZIM_BASE_URL="+server.URL)
	return tap
}

func (tap *wiretap) write(r *http.Request, body []byte) {
	var answer struct {
		RequestID string `json:"RequestId"`
		Result    []struct {
			UserID string `json:"UserId"`
			Status string
		}
		ErrorList []struct {
			UserID string `json:"UserId"`
		}
	}
	if json.Unmarshal(body, &answer) != nil || answer.RequestID == "" {
		return
	}
	a := tapped{users: r.URL.Query()["UserId[]"], said: map[string]string{}, at: time.Now()}
	for _, u := range answer.Result {
		a.said[u.UserID] = strings.ToLower(u.Status)
	}
	for _, u := range answer.ErrorList {
		a.said[u.UserID] = "offline"
	}
	tap.mu.Lock()
	defer tap.mu.Unlock()
	tap.answers[answer.RequestID] = a
}

// explain runs the command and reads what it prints.
func (w *world) explain(user string, args ...string) (r explainReport) {
	w.t.Helper()
	out, code := w.run(append([]string{"explain", "-o", "json", user}, args...)...)
	if err := json.Unmarshal([]byte(out), &r); err != nil || code != 0 {
		w.t.Fatalf("poller explain %q: exit code %d, %v:\n%s", user, code, err, out)
	}
	return r
}

// holds checks every answer that is shown against what went over the wire.
func (tap *wiretap) holds(t testing.TB, r *explainReport) {
	t.Helper()
	tap.mu.Lock()
	defer tap.mu.Unlock()
	if r.Daemon.Story == nil || len(r.Daemon.Story.Answers) == 0 {
		t.Errorf("%q: no answers are shown; %s", r.UserID, r.Daemon.Why)
		return
	}
	for _, a := range r.Daemon.Story.Answers {
		given, known := tap.answers[a.RequestID]
		switch {
		case !known:
			t.Errorf("%q: ZIM gave no answer with the id %q", r.UserID, a.RequestID)
		case !slices.Contains(given.users, r.UserID) || len(given.users) != a.Asked || a.HTTP != http.StatusOK || a.Code != 0:
			t.Errorf("%q: request %s asked about %q, shown as %+v", r.UserID, a.RequestID, given.users, a)
		case given.said[r.UserID] != a.Status:
			t.Errorf("%q: request %s said %q, shown as %+v", r.UserID, a.RequestID, given.said[r.UserID], a)
		case given.at.Before(a.AskedAt) || given.at.After(a.At.Add(time.Second)):
			t.Errorf("%q: request %s was answered at %s, shown as %+v", r.UserID, a.RequestID, given.at, a)
		}
	}
}

// inStream checks each place that is shown against the message there.
func (w *world) inStream(r *explainReport) {
	w.t.Helper()
	stream, err := w.js.Stream(w.t.Context(), "PRESENCE_4000000001")
	if err != nil {
		w.t.Fatal(err)
	}
	for _, e := range r.Events {
		msg, err := stream.GetMsg(w.t.Context(), e.StreamSeq)
		if err != nil || e.Told != "there" || msg.Header.Get(presence.HeaderID) != e.ID {
			w.t.Errorf("%q: event %s is shown as %s at %d, where %v is, %v", r.UserID, e.ID, e.Told, e.StreamSeq, msg, err)
		}
	}
}

// The chain of evidence of users of every sort, beside the real daemon: with the request ids that ZIM gave, what waits,
// what was not told, and the places of the events.
func TestExplain(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "POLLER_HTTP_LISTEN=127.0.0.1:0", "POLLER_HOLD_OFFLINE=1h")
	tap := w.tap()
	users := map[string]zimsim.State{
		"alice": zimsim.Timeout, "b.o b>": zimsim.Online, "carol": zimsim.Online, "eve": zimsim.LoggedOut, "mallory": zimsim.Online,
	}
	w.set(users)
	w.watch(keys(users)...)
	w.watch("bad/id")
	daemon := w.start("run")
	first := w.newEvents(0, len(users))
	w.set(map[string]zimsim.State{"alice": zimsim.Online, "b.o b>": zimsim.LoggedOut, "carol": zimsim.LoggedOut})
	w.unwatch("eve")
	w.newEvents(len(users), 2) // alice, eve
	held := `select count(*) from held_changes where app_id = $1`
	w.until("two changes that wait", func() bool { return w.count(held, worldApp) == 2 })
	w.set(map[string]zimsim.State{"b.o b>": zimsim.Online})
	w.until("one that does not wait any more", func() bool { return w.count(held, worldApp) == 1 })
	w.sweeps(1)
	from := "--from=" + daemon.site().addr

	alice := w.explain("alice", from)
	tap.holds(t, &alice)
	w.inStream(&alice)
	if len(alice.Events) != 2 || alice.Status != "online" || alice.Events[1].Kind != "online" || alice.Events[1].After == nil ||
		alice.Events[0].ID != first["alice"][0].ID() || alice.AgeSeconds == nil || *alice.AgeSeconds > 60 || alice.Stream.Entry == nil ||
		alice.Stream.Entry.ID != alice.Events[1].ID || alice.Held != nil || alice.AddedAt == nil || alice.Holder == nil || !alice.Daemon.Story.Holds {
		t.Errorf("of alice: %+v", alice)
	}
	// The request that brought the event is the one that is named.
	brought := slices.IndexFunc(alice.Daemon.Story.Answers, func(a daemonAnswer) bool { return a.At.Equal(alice.Events[1].ObservedAt) })
	if brought < 0 || !strings.Contains(strings.Join(alice.Summary, "\n"), alice.Daemon.Story.Answers[brought].RequestID) {
		t.Errorf("the request that brought event %d is not named: %q", alice.Events[1].Seq, alice.Summary)
	}

	bob := w.explain("b.o b>", from)
	tap.holds(t, &bob)
	w.inStream(&bob)
	if bob.Status != "online" || len(bob.Events) != 1 || bob.Held != nil || len(bob.Daemon.Story.Suppressed) != 1 ||
		bob.Daemon.Story.Suppressed[0].Why != "hold" || bob.Daemon.Story.Suppressed[0].Detail != "no_session" {
		t.Errorf("of bob, who went for a moment: %+v, %+v", bob, bob.Daemon.Story.Suppressed)
	}
	carol := w.explain("carol", from)
	tap.holds(t, &carol)
	if carol.Status != "online" || carol.Held == nil || carol.Held.Status != "offline" || carol.Held.Detail != "no_session" || len(carol.Daemon.Story.Suppressed) != 0 {
		t.Errorf("of carol, whose change waits: %+v, held %+v", carol, carol.Held)
	}
	if eve := w.explain("eve", from); eve.Status != "unknown" || eve.AddedAt != nil || len(eve.Events) != 2 || eve.Events[1].Kind != "removed" {
		t.Errorf("of eve, who was removed: %+v", eve)
	}
	if bad := w.explain("bad/id", from); bad.UserNo != 0 || !strings.Contains(bad.Invalid, "'/'") || !strings.Contains(strings.Join(bad.Summary, " "), "never asked about") {
		t.Errorf("of an id that cannot be asked about: %+v", bad)
	}
	w.explainsInWords(from)
	w.explainsOnStandby(daemon)
	w.explainsWithout(daemon)
}

// explainsInWords runs the command as people do.
func (w *world) explainsInWords(from string) {
	t := w.t
	for user, want := range map[string][]string{
		"alice":  {"alice is online since ", "what ZIM answered", "kind", "baseline", "answered", "The bucket has that event, too."},
		"b.o b>": {"1 change was answered lately and not told: 1 did not last for the hold.", "answered, and not told"},
		"carol":  {"A change to offline (no session) waits to be confirmed", "hold.offline: 1h0m0s"},
	} {
		out, code := w.run("explain", user, from)
		for _, words := range want {
			if code != 0 || !strings.Contains(strings.ToLower(out), strings.ToLower(words)) {
				t.Errorf("poller explain %q: exit code %d, without %q:\n%s", user, code, words, out)
			}
		}
	}
	for _, user := range []string{"nobody", "no/body", "\xff"} {
		p := w.start("explain", user, from)
		if code := p.ended(); code != 1 || p.out.Len() > 0 || !strings.Contains(p.said(), "nothing is known of") {
			t.Errorf("poller explain %q: exit code %d, %s%s", user, code, p.out.String(), p.said())
		}
	}
	for _, args := range [][]string{{"explain", "alice", "--limit", "0"}, {"explain", "alice", "--from", "ftp://x"}, {"explain"}} {
		if out, code := w.run(args...); code != exitUsage || out != "" {
			t.Errorf("poller %q: exit code %d, %s", args, code, out)
		}
	}
}

// explainsOnStandby asks a daemon that does not hold the lease: it says who does.
func (w *world) explainsOnStandby(holder *process) {
	standby := w.start("run")
	w.untilReady(standby)
	r := w.explain("alice", "--from", "http://"+standby.field("http listens", "addr"))
	said := strings.Join(r.Summary, "\n")
	if r.Daemon.Story == nil || r.Daemon.Story.Holds || !strings.Contains(said, r.Holder.Owner+" does.") || r.Daemon.Story.Owner == r.Holder.Owner {
		w.t.Errorf("asked of a standby: %+v, %s", r.Daemon, said)
	}
	standby.stop()
	w.untilReady(holder)
}

// explainsWithout goes on without the daemon, and then without NATS.
func (w *world) explainsWithout(daemon *process) {
	from := "--from=" + daemon.field("http listens", "addr")
	daemon.stop()
	w.watch("erin")
	r := w.explain("alice", from)
	if r.Daemon.Why == "" || r.Daemon.Story != nil || r.Holder != nil || len(r.Events) != 2 || r.SeenAt == nil || *r.AgeSeconds <= 0 {
		w.t.Errorf("without a daemon: %+v", r)
	}
	w.inStream(&r)
	if erin := w.explain("erin"); erin.UserNo != 0 || erin.AddedAt == nil || erin.Daemon.Story != nil {
		w.t.Errorf("of who was added just now: %+v", erin)
	}
	w.nats.Stop()
	if r := w.explain("alice", from); r.Stream.Why == "" || len(r.Events) != 2 || r.Events[1].StreamSeq != 0 {
		w.t.Errorf("without NATS: %+v", r)
	}
}

// explainsAs runs the command with the least permissions.
func (w *world) explainsAs(db *localtest.TCPPostgres, server *localtest.ConfiguredNATS, user string) {
	w.t.Helper()
	env := w.env
	w.env = append(w.env[:len(w.env):len(w.env)], "POLLER_DATABASE_URL="+as(db, "support", "presence"), "POLLER_NATS_URL=nats://support:secret@"+server.Addr())
	r := w.explain(user)
	if r.Stream.Why != "" || r.Stream.Entry == nil || len(r.Events) == 0 {
		w.t.Errorf("poller explain with the least permissions: %+v", r)
	}
	w.inStream(&r)
	w.env = env
}

// The listener of the configuration is asked, from this machine.
func TestListenerURL(t *testing.T) {
	for listen, want := range map[string]string{
		"127.0.0.1:8080": "http://127.0.0.1:8080", ":8080": "http://localhost:8080", "0.0.0.0:80": "http://localhost:80",
		"[::]:8080": "http://localhost:8080", "[::1]:8080": "http://[::1]:8080", "host:1": "http://host:1", "": "", "127.0.0.1:0": "",
	} {
		if got := listenerURL(listen); got != want {
			t.Errorf("listenerURL(%q) = %q, want %q", listen, got, want)
		}
	}
}

// Whatever answers instead of a daemon is told, and no error.
func TestAskWhatIsNoDaemon(t *testing.T) {
	for name, c := range map[string]struct {
		serve http.HandlerFunc
		why   string
	}{
		"another program": {func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<html>") }, "is no poller"},
		"other JSON":      {func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "{}") }, "is no poller"},
		"an older one":    {http.NotFound, "it answers 404: 404 page not found"},
		"a redirect": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://127.0.0.1:1/", http.StatusFound)
		},
			"it answers 302"},
		"an endless one": {func(w http.ResponseWriter, _ *http.Request) {
			for range mostStory/1000 + 10 {
				_, _ = w.Write(bytes.Repeat([]byte(" "), 1000))
			}
		}, "is no poller"},
		"one that breaks": {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, "EOF"},
	} {
		server := httptest.NewServer(c.serve)
		d := askDaemon(t.Context(), server.URL, worldApp, "alice")
		if d.Story != nil || !strings.Contains(d.Why, c.why) || strings.Contains(d.Why, "alice") {
			t.Errorf("%s: %+v, want %q", name, d, c.why)
		}
		server.Close()
	}
}
