package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/zim-presence/poller/internal/budget"
	"github.com/zim-presence/poller/internal/diff"
	"github.com/zim-presence/poller/internal/evidence"
	"github.com/zim-presence/poller/internal/ledger"
	"github.com/zim-presence/poller/internal/page"
	"github.com/zim-presence/poller/internal/poll"
	"github.com/zim-presence/poller/internal/status"
	"github.com/zim-presence/poller/internal/zim"
	"github.com/zim-presence/poller/presence"
)

// shownAt is the panel as the page has it.
func (p *panel) shownAt(now time.Time) page.App {
	var a page.App
	p.show(&a, now)
	return a
}

// A panel shows what its rooms have told it of the term, and nothing between two.
func TestPanel(t *testing.T) {
	var p panel
	p.configured("@every 1m", 20)
	now := time.Now()
	if a := p.shownAt(now); a.Schedule != "@every 1m" || a.Budget.Setting != 20 || a.Users != nil || a.Running != nil || a.Last != nil || a.Lease.Since != nil {
		t.Errorf("before the first term: %+v", a)
	}
	for _, rate := range []float64{0.5, 1.5, 2.9, 20} { // what counts of it is all that ZIM can take
		p.configured("@every 1m", rate)
		if a, limit := p.shownAt(now), budget.New(rate, nil).Rate(); a.Budget.Setting != limit {
			t.Errorf("a rate of %v is shown as %v, and %v are allowed", rate, a.Budget.Setting, limit)
		}
	}
	p.begin(now)
	if a := p.shownAt(now); a.Users == nil || a.Users.Coverage != nil || a.Next != nil || a.Delay != nil || !a.Lease.Since.Equal(now) {
		t.Errorf("at the beginning: %+v", a)
	}
	due := now.Add(time.Minute)
	p.sweeps(func() time.Time { return due })
	r := poll.Report{Sweep: 7, Started: now, Watched: 1000, Missed: map[presence.MissReason]int{}, Listed: poll.Listed{Invalid: 3}}
	p.moves(r)
	if a := p.shownAt(now); a.Running == nil || a.Running.Left != nil || a.Users.Invalid != 3 || !a.Next.Equal(due) {
		t.Errorf("before the first answer: %+v", a.Running)
	}
	r.Seen, r.Requests, r.Missed[presence.MissFailed] = 200, 3, 50
	p.moves(r)
	r.Missed[presence.MissFailed] = 0 // the map is the sweep's own
	p.listed = now.Add(-10 * time.Second)
	if a := p.shownAt(now); a.Running.Seen != 200 || a.Running.Missed != 50 || math.Abs(*a.Running.Left-30) > 0.01 {
		t.Errorf("after a quarter, and 10 s: %+v, %v s left", a.Running, *a.Running.Left)
	}
	r.Seen, r.Missed[presence.MissFailed], r.Finished, r.Complete = 900, 100, now.Add(time.Second), true
	r.Failure = errors.New("cut")
	p.swept(r, nil)
	if a := p.shownAt(now); a.Running != nil || a.Last.Missed != 100 || a.Last.Failure != "cut" || !a.Last.Complete || *a.Users.Coverage < 0.89 || *a.Users.Coverage > 0.91 {
		t.Errorf("at its end: %+v", a.Last)
	}
	before := p.shownAt(now).Last
	p.skips(3)
	if a := p.shownAt(now); a.Last.Skipped != 3 || a.Last.Missed != 100 || before.Skipped != 0 {
		t.Errorf("behind it: %+v, and who looked before has %+v", a.Last, before)
	}
	r.Complete, r.Seen = false, 1
	p.swept(r, errors.New("broken off"))
	if a := p.shownAt(now); a.Last.Complete || a.Last.Skipped != 0 || a.Last.Failure != "broken off" || *a.Users.Coverage < 0.89 {
		t.Errorf("of one that was broken off: %+v, coverage %v", a.Last, *a.Users.Coverage)
	}
	p.waits(4)
	p.doubts(5)
	p.behind(12, now.Add(-time.Minute))
	if a := p.shownAt(now); a.Users.Held != 4 || a.Users.Gated != 5 || a.Lag.Events != 12 || a.Lag.Seconds < 59 || a.Lag.Seconds > 61 {
		t.Errorf("%+v, lag %+v", a.Users, a.Lag)
	}
	p.over(1)
	if a := p.shownAt(now); a.Users != nil || a.Last != nil || a.Lag.Events != 0 || a.Next != nil || a.Schedule == "" {
		t.Errorf("after the term: %+v", a)
	}
}

// What is told moves the lag, the delay and the sample of the step, and is put on the live list.
func TestPanelTold(t *testing.T) {
	p := panel{live: page.NewLive()}
	p.configured("@every 1m", 10)
	now := time.Now()
	p.begin(now)
	s := page.Nothing()
	p.sample(&s, now, 1000)
	if !math.IsNaN(float64(s.PerMin)) || !math.IsNaN(float64(s.Budget)) || !math.IsNaN(float64(s.Delay)) || s.Lag != 0 {
		t.Errorf("of no whole step: %+v", s)
	}
	told := func(kind presence.Kind, ago time.Duration, more int64) {
		e := &presence.Event{AppID: 1}
		e.Kind, e.ObservedAt = kind, now.Add(-ago)
		p.told(e, more)
	}
	told(presence.KindOnline, 3*time.Second, 2)
	told(presence.KindBaseline, 2*time.Second, 1)
	a := p.shownAt(now)
	if a.Lag.Events != 1 || a.Lag.Seconds < 2 || a.Lag.Seconds > 3 || *a.Delay < 2 || *a.Delay > 60 {
		t.Errorf("lag %+v, delay %v", a.Lag, *a.Delay)
	}
	told(presence.KindOffline, time.Second, 0)
	if a := p.shownAt(now); a.Lag.Events != 0 || a.Lag.Seconds != 0 {
		t.Errorf("lag %+v", a.Lag)
	}
	p.sample(&s, now.Add(30*time.Second), 1150)
	if s.PerMin != 4 || s.Budget != 0.5 || s.Delay < 3 || s.Delay > 60 {
		t.Errorf("of half a minute: %+v", s)
	}
	p.sample(&s, now.Add(45*time.Second), 1150)
	if s.PerMin != 0 || s.Budget != 0 || !math.IsNaN(float64(s.Delay)) {
		t.Errorf("of a step without anything: %+v", s)
	}
}

// What is used of a budget is that of the last minute.
func TestSpending(t *testing.T) {
	var s spending
	now := time.Now()
	if got := s.used(now, 7); got != 0 {
		t.Errorf("before the first look: %v", got)
	}
	for i := range 30 {
		at := now.Add(time.Duration(i) * lookAgain)
		s.look(at, uint64(100*i))
		if i > 0 {
			if got := s.used(at, uint64(100*i)); got != 20 {
				t.Errorf("after %d looks: %v slots a second, want 20", i, got)
			}
		}
	}
	if n := len(s.looks); n > 14 {
		t.Errorf("%d looks are kept", n)
	}
	if got := s.used(now.Add(29*lookAgain+time.Minute), 2900); got > 10.1 {
		t.Errorf("a minute later: %v slots a second", got)
	}
}

// fleetOf is a process that polls n apps, each with a million users.
func fleetOf(t testing.TB, n int) *parts {
	t.Helper()
	p := &parts{me: "here:1:abc", checks: status.NewChecks(), metrics: status.NewMetrics("v1"), lookout: newLookout()}
	sight := &ledger.Sight{Live: []ledger.Replica{{Owner: p.me}}, Leases: map[uint32]ledger.LeaseSight{}}
	now := time.Now()
	for id := range uint32(n) {
		client, err := zim.New(zim.Config{BaseURL: "http://127.0.0.1:9", AppID: id + 1, Secret: "s", Rate: 20, BatchSize: 100, Timeout: time.Second})
		if err != nil {
			t.Fatal(err)
		}
		a := &app{id: id + 1, zim: client, checks: p.checks, budget: budget.New(20, nil), evidence: evidence.NewBook()}
		for i := range 20 {
			a.evidence.Incident(evidence.Incident{Number: i + 1, Began: now.Add(time.Duration(i)), Ended: now})
		}
		a.panel.configured("@every 1m", 20)
		a.panel.begin(now)
		a.panel.swept(poll.Report{Watched: 1_000_000, Seen: 1_000_000, Complete: true, Started: now, Finished: now}, nil)
		a.holder.lease.Store(&ledger.Lease{})
		a.census.Store(&diff.Census{At: now, Online: 150_000, Offline: 850_000})
		p.apps.add(a)
		for _, subject := range []string{"lease", "stream", "sweep", "zim", "watchlist", "lag"} {
			p.checks.Set(a.check(subject), nil)
		}
	}
	p.lookout.sight.Store(sight)
	return p
}

// A board of a thousand apps is whole, and that of one app is its own.
func TestBoardOfManyApps(t *testing.T) {
	p := fleetOf(t, 1000)
	site, err := p.site()
	if err != nil {
		t.Fatal(err)
	}
	read := func(query string) (b page.Board) {
		w := httptest.NewRecorder()
		r := httptest.NewRequest(http.MethodGet, "http://localhost/api/board"+query, http.NoBody)
		began := time.Now()
		site.ServeHTTP(w, r)
		t.Logf("board%s: %d bytes in %s", query, w.Body.Len(), time.Since(began))
		if err := json.Unmarshal(w.Body.Bytes(), &b); err != nil || w.Code != http.StatusOK {
			t.Fatalf("%d %v", w.Code, err)
		}
		return b
	}
	if b := read(""); len(b.Apps) != 1000 || b.Total != 1000 || b.Apps[0].App != 1 || b.Apps[999].App != 1000 || len(b.Checks) != 0 || b.Judged != 6000 {
		t.Errorf("%d apps of %d, %d checks", len(b.Apps), b.Total, len(b.Checks))
	}
	b := read("?app=500")
	if len(b.Apps) != 1 || len(b.Checks) != 6 || b.Apps[0].App != 500 || len(b.Apps[0].Incidents) != mostIncidentsShown || b.Apps[0].Incidents[0].Number != 20 || b.Total != 1000 {
		t.Errorf("of one app: %+v", b.Apps)
	}
}

func BenchmarkBoard(b *testing.B) {
	for _, n := range []int{1, 1000} {
		p := fleetOf(b, n)
		site, err := p.site()
		if err != nil {
			b.Fatal(err)
		}
		for _, query := range []string{"", "?app=1"} {
			b.Run(fmt.Sprintf("%d%s", n, query), func(b *testing.B) {
				size := 0
				for b.Loop() {
					w := httptest.NewRecorder()
					site.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "http://localhost/api/board"+query, http.NoBody))
					size = w.Body.Len()
				}
				b.ReportMetric(float64(size), "bytes")
			})
		}
	}
}
