package main

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/zim-presence/poller/internal/callback"
	"github.com/zim-presence/poller/internal/zimsim"
)

const callbackSecret = "ca11bac4ca11bac4ca11bac4ca11bac4"

// callbackURL is where a program takes callbacks.
func (w *world) callbackURL(p *process) string {
	w.t.Helper()
	w.until("callbacks are taken", func() bool { return p.field("callbacks are taken", "addr") != "" })
	return "http://" + p.field("callbacks are taken", "addr") + callback.Path
}

// callBack has ZIM call back there from now on.
func (w *world) callBack(c zimsim.Callbacks) {
	w.t.Helper()
	c.Secret = callbackSecret
	if err := w.zim.SetCallbacks(c); err != nil {
		w.t.Fatal(err)
	}
}

// toldSooner changes users one after the other, and returns how long each took to be told.
func (w *world) toldSooner(users []string) (took []time.Duration) {
	w.t.Helper()
	for _, id := range users {
		before := len(w.events(0))
		to := zimsim.LoggedOut
		if state, _ := w.zim.State(id); state != zimsim.Online {
			to = zimsim.Online
		}
		at := w.set(map[string]zimsim.State{id: to})
		w.until(id+" is told", func() bool { return len(w.events(before)) > 0 })
		took = append(took, time.Since(at).Round(time.Millisecond))
	}
	return took
}

// With callbacks a change is told within about a second though the next sweep is an hour
// away; whichever replica is called, and whatever goes wrong with the calls, what is told
// is the truth.
func TestCallbacksAreHints(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "POLLER_SCHEDULE=@every 1h", "POLLER_HTTP_LISTEN=127.0.0.1:0", "POLLER_CALLBACK_LISTEN=127.0.0.1:0",
		"POLLER_ZIM_CALLBACK_SECRET="+callbackSecret)
	users := population(300)
	w.set(users)
	w.watch(keys(users)...)
	holder := w.start("run")
	w.until("everybody is told", func() bool { return len(w.events(0)) == len(users) })
	standby := w.start("run")
	w.until("the standby", func() bool { return w.metric(standby, "poller_replicas_live") == 2 })
	holds := w.callbackURL(holder)

	w.callBack(zimsim.Callbacks{URL: holds})
	direct := w.toldSooner(keys(users)[:8])
	t.Logf("told behind the change, by the holder's callbacks: %v", direct)
	w.callBack(zimsim.Callbacks{URL: w.callbackURL(standby)})
	handed := w.toldSooner(keys(users)[8:12])
	t.Logf("told behind the change, by the standby's callbacks: %v", handed)
	if n := w.metric(standby, `poller_callbacks_total{outcome="handed_on"}`); n != 4 {
		t.Errorf("%v callbacks were handed on, want 4", n)
	}
	if n := w.metric(holder, "poller_callback_gain_seconds_count"); n != 12 {
		t.Errorf("%v changes were seen sooner, want 12", n)
	}
	gain := w.metric(holder, "poller_callback_gain_seconds_sum") / 12
	t.Logf("sooner by %.0f s, by the poller's own estimate", gain)
	if gain < 1000 || gain > 3600 {
		t.Errorf("sooner by %.0f s in the mean, want most of the hour", gain)
	}

	// Much goes wrong: who is not called back waits for a sweep.
	w.callBack(zimsim.Callbacks{URL: holds, Lost: 0.2, Late: 0.2, LateBy: time.Second, Doubled: 0.5, Forged: 0.3, Reordered: 0.5})
	before := len(w.events(0))
	for _, id := range keys(users)[:100] {
		w.set(map[string]zimsim.State{id: zimsim.LoggedOut})
		w.set(map[string]zimsim.State{id: zimsim.Online})
		if users[id] == zimsim.Online {
			w.set(map[string]zimsim.State{id: zimsim.LoggedOut})
		}
	}
	w.forge(holds)
	w.until("some is told", func() bool { return len(w.events(before)) > 20 })
	holder.stop() // the standby's first sweep finds the rest
	w.until("the standby sweeps", func() bool { return standby.logged("sweep ended") > 0 })
	standby.stop()
	w.audit()
	w.auditIntervals(w.events(0))
	for _, p := range []*process{holder, standby} {
		if strings.Contains(p.said(), callbackSecret) {
			t.Error("the log holds the secret of the callbacks")
		}
	}
}

// forge posts what ZIM never signed, and wants it refused in the same words, whoever it
// is about.
func (w *world) forge(url string) {
	w.t.Helper()
	answers := map[string]bool{}
	for _, user := range []string{keysOfNobody, keys(population(300))[0]} {
		body := fmt.Sprintf(`{"appid":"%d","event":"user_action","timestamp":%d,"nonce":"1","signature":"%040d","user_id":%q,"action":1}`,
			uint32(worldApp), time.Now().Unix(), 7, user)
		resp, err := http.Post(url, "application/json", strings.NewReader(body))
		if err != nil {
			w.t.Fatal(err)
		}
		text, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		answers[resp.Status+string(text)] = true
		if resp.StatusCode != http.StatusUnauthorized {
			w.t.Errorf("a forged callback is answered %s", resp.Status)
		}
	}
	if len(answers) != 1 {
		w.t.Errorf("the answers differ by who is watched: %v", answers)
	}
}

const keysOfNobody = "nobody-of-that-name"

// callBackIn posts a callback that is signed, and one that is not.
func callBackIn(t *testing.T, p *process) {
	t.Helper()
	url := p.w.callbackURL(p)
	now := fmt.Sprint(time.Now().Unix())
	for secret, want := range map[string]int{secretOfCall: http.StatusOK, "another": http.StatusUnauthorized} {
		body := fmt.Sprintf(`{"appid":"1","event":"user_action","timestamp":%s,"nonce":"1","signature":%q,"user_id":"u","action":1}`,
			now, callback.Sign(secret, now, "1"))
		resp, err := http.Post(url, "application/json", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("a callback is answered %s, want %d", resp.Status, want)
		}
	}
}
