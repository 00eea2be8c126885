package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/zim-presence/poller/internal/page"
	"github.com/zim-presence/poller/internal/zimsim"
)

// site is the status page of a daemon, as a browser sees it.
type site struct {
	t    testing.TB
	addr string
}

func (p *process) site() site {
	p.w.t.Helper()
	p.w.until("http", func() bool { return p.logged("http listens") > 0 })
	return site{p.w.t, p.field("http listens", "addr")}
}

// get asks for a path; what it answers with 200 is read as JSON into v, unless that is nil.
func (s site) get(path string, v any) (status int, body string) {
	s.t.Helper()
	resp, err := http.Get("http://" + s.addr + path)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	if v != nil && resp.StatusCode == http.StatusOK {
		if err := json.Unmarshal(text, v); err != nil {
			s.t.Fatalf("%s: %v in %.300s", path, err, text)
		}
	}
	return resp.StatusCode, string(text)
}

func (s site) board() (b page.Board) {
	s.t.Helper()
	if status, body := s.get("/api/board", &b); status != http.StatusOK || len(b.Apps) != 1 || b.Total != 1 {
		s.t.Fatalf("board: %d %s", status, body)
	}
	return b
}

// follow reads the live list until it ends; each event goes to heard.
func (s site) follow(ctx context.Context, query string, heard func(page.Told)) (ended chan struct{}) {
	s.t.Helper()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.addr+"/api/transitions?"+query, http.NoBody)
	if err != nil {
		s.t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil || resp.StatusCode != http.StatusOK {
		s.t.Fatalf("live list: %v, %v", resp, err)
	}
	ended = make(chan struct{})
	go func() {
		defer close(ended)
		defer resp.Body.Close()
		lines := bufio.NewScanner(resp.Body)
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			data, found := strings.CutPrefix(lines.Text(), "data: ")
			var b page.Batch
			if found && json.Unmarshal([]byte(data), &b) == nil {
				for _, e := range b.Events {
					heard(e)
				}
			}
		}
	}()
	return ended
}

// What the status page of a real daemon says is what is so, while users come and go; and where users are hidden, nothing
// that it says names one.
func TestStatusPage(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "POLLER_HTTP_LISTEN=127.0.0.1:0")
	users, ids := map[string]zimsim.State{}, []string{}
	for i := range 40 {
		ids = append(ids, fmt.Sprintf("person-%02d", i))
		users[ids[i]] = zimsim.LoggedOut
		if i < 10 {
			users[ids[i]] = zimsim.Online
		}
	}
	w.set(users)
	w.watch(ids...)
	daemon := w.start("run")
	s := daemon.site()
	w.sweeps(2)

	t.Run("board", func(t *testing.T) { w.boardIsRight(s) })
	told := make(chan page.Told, 1000)
	ended := s.follow(t.Context(), fmt.Sprintf("app=%d&user=person-0", w.appID), func(e page.Told) { told <- e })
	t.Run("live list", func(t *testing.T) { w.liveListIsRight(t, told) })
	t.Run("user", func(t *testing.T) { w.userIsExplained(t, s) })
	t.Run("standby", func(t *testing.T) { w.standbyNamesTheHolder(s) })
	t.Run("history", func(t *testing.T) { w.historyGrows(s) })
	daemon.stop()
	<-ended

	w.exec(`update snapshots set started = started - interval '1 hour', finished = finished - interval '1 hour'`)
	w.env = append(w.env, "POLLER_HTTP_HIDE_USER_IDS=true", "POLLER_HTTP_HOSTS=poller.example.com, other")
	daemon = w.start("run")
	s = daemon.site()
	w.sweeps(1)
	t.Run("hidden", func(t *testing.T) { w.nobodyIsNamed(t, s) })
	t.Run("seeded", func(t *testing.T) { w.historyIsSeeded(s) })
	daemon.stop()
}

func (w *world) boardIsRight(s site) {
	var b page.Board
	w.until("a board on which all is well", func() bool {
		b = s.board()
		a := b.Apps[0]
		return b.Ready && a.Users != nil && a.Users.Online == 10 && a.Users.Offline == 30 && a.Users.Coverage != nil && a.Ages != nil &&
			a.Last != nil && a.Last.Complete && a.Delay != nil && a.Budget.Used > 0 && b.Replicas == 1
	})
	a := b.Apps[0]
	sum := a.Ages.Never
	for _, n := range a.Ages.Users {
		sum += n
	}
	if a.App != w.appID || !a.Lease.Held || a.Lease.Holder != b.Process || a.Lease.Epoch < 1 || a.Lease.Since == nil || a.Schedule != "@every 1s" ||
		a.Next == nil || a.Last.Watched != 40 || a.Last.Seen != 40 || a.Last.Finished == nil || a.Users.Watched != 40 || *a.Users.Coverage != 1 ||
		sum != 40 || len(a.Ages.Users) != len(a.Ages.Under)+1 || a.Budget.Setting != 20 || a.Budget.Rate != 20 || a.Budget.Used > 1 ||
		a.Trouble != "" || len(a.Incidents) != 0 || !b.UserIDs || len(b.Checks) < 5 {
		w.t.Errorf("board: %+v\napp: %+v %+v %+v", b, a, a.Users, a.Ages)
	}
	if status, body := s.get("/", nil); status != http.StatusOK || !strings.Contains(body, "<title>") {
		w.t.Errorf("the page: %d %.200s", status, body)
	}
	if status, _ := s.get("/metrics", nil); status != http.StatusOK {
		w.t.Errorf("the metrics beside it: %d", status)
	}
}

// liveListIsRight hears first answers that were told before, and what changes.
func (w *world) liveListIsRight(t *testing.T, told <-chan page.Told) {
	heard := func() page.Told {
		select {
		case e := <-told:
			return e
		case <-time.After(patience):
			t.Fatal("nothing was told")
			return page.Told{}
		}
	}
	for range 10 {
		if e := heard(); e.Kind != "baseline" || !strings.HasPrefix(e.User, "person-0") {
			t.Errorf("before: %+v", e)
		}
	}
	w.set(map[string]zimsim.State{"person-03": zimsim.LoggedOut, "person-33": zimsim.Online})
	e := heard()
	if e.User != "person-03" || e.Kind != "offline" || e.From != "online" || e.To != "offline" || e.Detail != "no_session" || e.After == "" || e.Delay < 0 {
		t.Errorf("heard %+v", e)
	}
	w.set(map[string]zimsim.State{"person-03": zimsim.Online})
	next := heard()
	if next.User != "person-03" || next.Kind != "online" || next.Seq <= e.Seq {
		t.Errorf("heard %+v behind %d", next, e.Seq)
	}
	if n := w.count(`select count(*) from transitions where user_id = 'person-03' and kind = 'online' and seq = $1`, next.Seq); n != 1 {
		t.Errorf("event %d is not that of the ledger", next.Seq)
	}
}

// userIsExplained compares with what the command tells.
func (w *world) userIsExplained(t *testing.T, s site) {
	query := "/api/user?" + url.Values{"app": {fmt.Sprint(w.appID)}, "user": {"person-03"}}.Encode()
	var got, want map[string]any
	w.until("the newest event in the bucket, and noted as told", func() bool {
		if status, body := s.get(query, &got); status != http.StatusOK {
			t.Fatalf("%s: %d %s", query, status, body)
		}
		standing := got["stream"].(map[string]any)
		entry, _ := standing["entry"].(map[string]any)
		events := got["events"].([]any)
		return entry != nil && entry["id"] == events[len(events)-1].(map[string]any)["id"] && standing["told_seq"] == entry["seq"]
	})
	out, code := w.run("explain", "-o", "json", "--from", s.addr, "person-03")
	if err := json.Unmarshal([]byte(out), &want); err != nil || code != 0 {
		t.Fatalf("poller explain: %d, %v in %s", code, err, out)
	}
	for name := range want {
		if _, has := got[name]; !has {
			t.Errorf("the page lacks %s", name)
		}
	}
	for _, name := range []string{"app_id", "user_id", "user_no", "status", "detail", "since", "added_at", "events", "stream", "held", "older", "dropped"} {
		if diff := cmp.Diff(want[name], got[name]); diff != "" {
			t.Errorf("%s (-command +page):\n%s", name, diff)
		}
	}
	if story, _ := got["daemon"].(map[string]any)["story"].(map[string]any); story == nil || len(story["answers"].([]any)) == 0 || story["holds"] != true {
		t.Errorf("what ZIM answered lately: %v", got["daemon"])
	}
	if status, _ := s.get(strings.Replace(query, "person-03", "stranger", 1), nil); status != http.StatusNotFound {
		t.Errorf("a stranger: %d", status)
	}
	if status, _ := s.get("/api/user?app=5&user=person-03", nil); status != http.StatusNotFound {
		t.Errorf("an app that is not polled: %d", status)
	}
}

// standbyNamesTheHolder asks another replica.
func (w *world) standbyNamesTheHolder(s site) {
	second := w.start("run")
	other := second.site()
	var b page.Board
	w.until("a replica that knows who holds the lease", func() bool {
		b = other.board()
		return b.Replicas == 2 && b.Apps[0].Lease.Holder != ""
	})
	if a := b.Apps[0]; a.Lease.Held || a.Lease.Holder != s.board().Process || a.Users != nil || a.Running != nil || a.Lease.Since != nil || b.Process == a.Lease.Holder {
		w.t.Errorf("the board of the standby: %+v", a)
	}
	second.stop()
}

func (w *world) historyGrows(s site) {
	var h page.History
	w.until("a point of the history", func() bool {
		return w.known(s, &h, func(i int) bool { return h.Online[i] >= 10 && h.Online[i] <= 11 && h.Coverage[i] == 1 && h.Lag[i] == 0 })
	})
	if h.Step != 15 || len(h.Online) != len(h.Times) || len(h.Budget) != len(h.Times) {
		w.t.Errorf("history: %+v", h)
	}
}

func (w *world) historyIsSeeded(s site) {
	hour := time.Now().Add(-time.Hour).Unix()
	var h page.History
	w.until("points of before the start", func() bool {
		return w.known(s, &h, func(i int) bool {
			return h.Times[i] < hour && h.Online[i] >= 10 && h.Offline[i] >= 29 && h.Unknown[i] == 0 && h.Coverage[i] == 1
		})
	})
}

// known tells whether any point of the history is as it should be.
func (w *world) known(s site, h *page.History, right func(i int) bool) bool {
	*h = page.History{}
	s.get(fmt.Sprintf("/api/history?app=%d", w.appID), h)
	for i := range h.Times {
		if right(i) {
			return true
		}
	}
	return false
}
