package page

import (
	"net/url"
	"strings"
	"testing"

	"github.com/zim-presence/poller/presence"
)

// Where users are hidden, nothing that is answered has an id in it, and none can be guessed at.
func TestHidden(t *testing.T) {
	r := newRig(t, func(c *Config) { c.HideUserIDs = true })
	secret := event(1, 1, presence.KindOnline)
	secret.User.ID = "alice=7"
	said := `nobody of 3 was answered: ZIM answered code 660000002 (user alice=7 (of app 1) is illegal): check it`
	r.now = Board{
		UserIDs: true,
		Checks: []Check{
			{Name: "zim/1", Error: said, Mend: `remove "alice=7"`, Note: `"alice=7" again`},
			{Name: "stream/1", Error: `message 7 of PRESENCE_1 on "presence.v1.1.online.alice=7" is no event of the poller: mend: nats stream rmm PRESENCE_1 7`,
				Mend: `nats stream rmm PRESENCE_1 7; nats stream purge KV_presence_1 --subject '$KV.presence_1.alice=7'; once more for '$KV.presence_1.alice=7'`},
			{Name: "bucket/1", Error: `cannot read $KV.presence_1.alice=7: timeout`},
			{Name: "ledger/1", Error: `unreadable ack "{\"alice=7\"`},
		},
		Apps: []App{{App: 1, Trouble: said, Running: &Sweep{Failure: said}, Last: &Sweep{Failure: said}, Incidents: []Incident{{Number: 1}}}},
	}
	v := r.view("")
	v.next()
	r.cfg.Live.Put(secret, 0)
	live, _ := v.next()
	name := live.Events[0].User
	if !strings.HasPrefix(name, "user-") || strings.Contains(name, "alice") {
		t.Errorf("the live list calls the user %q", name)
	}
	for path, status := range map[string]int{
		"/api/board": 200, "/api/board?app=1": 200, "/api/history?app=1": 200, "/api/user?app=1&user=alice%3D7": 403, "/api/user?app=1&user=nobody": 403, "/api/user": 403,
	} {
		got := r.get(path)
		if got.status != status || strings.Contains(got.body, "alice") {
			t.Errorf("%s = %d %s", path, got.status, got.body)
		}
	}
	if len(r.asked) != 0 {
		t.Errorf("%v were asked about", r.asked)
	}
	board := r.get("/api/board").body
	for _, left := range []string{"660000002", "nobody of 3", "nats stream rmm PRESENCE_1 7", `--subject '$KV.…'; once more for '$KV.…'"`, `"user_ids":false`} {
		if !strings.Contains(board, left) {
			t.Errorf("the board has lost %q: %s", left, board)
		}
	}
	for part, want := range map[string]int{"alice": 0, "=7": 0, name: 1, name[5:9]: 1, "user-": 1, "": 1} {
		found := r.view("?user=" + url.QueryEscape(part))
		if b, _ := found.next(); len(b.Events) != want {
			t.Errorf("%d events of users with %q, want %d", len(b.Events), part, want)
		}
		found.close()
	}
	shown := newRig(t, nil)
	shown.now = r.now
	if !strings.Contains(shown.get("/api/board").body, "alice=7 (of app 1)") {
		t.Error("hidden where nothing is to be hidden")
	}
}

// A name is the user's own, in one app and one process.
func TestNames(t *testing.T) {
	a, b := newVeil(), newVeil()
	if first, again := a.name(1, "alice"), a.name(1, "alice"); first != again {
		t.Error("one user has two names")
	}
	seen := map[string]string{}
	for what, name := range map[string]string{
		"alice": a.name(1, "alice"), "bob": a.name(1, "bob"), "alice of another app": a.name(2, "alice"), "alice of another process": b.name(1, "alice"),
	} {
		if other, twice := seen[name]; twice || len(name) != len("user-")+12 {
			t.Errorf("%s is called %q, as is %s", what, name, other)
		}
		seen[name] = what
	}
	if got := a.name(1, ""); got != "" {
		t.Errorf("nobody is called %q", got)
	}
}
