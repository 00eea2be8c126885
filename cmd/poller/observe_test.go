package main

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/zim-presence/poller/internal/diff"
	"github.com/zim-presence/poller/internal/evidence"
	"github.com/zim-presence/poller/internal/poll"
	"github.com/zim-presence/poller/internal/relay"
	"github.com/zim-presence/poller/internal/status"
	"github.com/zim-presence/poller/presence"
)

// The beginning of an incident is kept for whoever asks why, and neither counted nor told; its end is all of that, once.
func TestIncidentIsKnownWhileItLasts(t *testing.T) {
	t.Parallel()
	metrics := status.NewMetrics("v1")
	h, a := &heard{}, &app{id: 1, metrics: metrics.App(1), evidence: evidence.NewBook()}
	control := &relay.Teller{Control: h, Mark: presence.Mark{AppID: 1, Log: "7f3a90c2", Epoch: 5}}
	counted := func() int {
		w := httptest.NewRecorder()
		status.Handler(metrics, status.NewChecks(), nil).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", http.NoBody))
		return strings.Count(w.Body.String(), `poller_incidents_total{app="1",outcome="discarded"} 1`)
	}
	i := poll.Incident{Number: 4, Began: time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC), Flips: 165, Share: 1}
	a.incident(control, i)
	control.Stands(0)
	kept := newDaemonStory(a.evidence.Of(1, 1)).Incidents
	if len(kept) != 1 || kept[0].EndedAt != nil || kept[0].Outcome != "" || kept[0].Incident != 4 || kept[0].Flips != 165 || counted() != 0 || len(h.all) != 0 {
		t.Errorf("while it lasts: kept %+v, counted %d, told %v", kept, counted(), h.all)
	}
	i.Ended, i.Decided, i.Rounds = i.Began.Add(time.Minute), 165, 7
	a.incident(control, i)
	control.End(t.Context())
	kept = newDaemonStory(a.evidence.Of(1, 1)).Incidents
	if len(kept) != 1 || kept[0].EndedAt == nil || kept[0].Outcome != "discarded" || counted() != 1 || len(h.all) != 1 {
		t.Errorf("at its end: kept %+v, counted %d, told %v", kept, counted(), h.all)
	}
}

// Who counts users and who shows them mean the same ages, and a term that is over leaves nothing that looks current.
func TestCensusIsShownWhileTheTermLasts(t *testing.T) {
	t.Parallel()
	if got, want := status.AgeBounds(), diff.AgeBounds(); got != want {
		t.Errorf("shown by %v, counted by %v", got, want)
	}
	metrics := status.NewMetrics("v1")
	a := &app{id: 1, metrics: metrics.App(1), checks: status.NewChecks()}
	a.counted(diff.Census{Online: 7, Ages: diff.Ages{Users: [12]int{3: 7}, Median: 40 * time.Second}})
	for _, want := range []string{`poller_users{app="1",status="online"} 7`, `poller_answer_age_users{app="1",under="60"} 7`, `poller_answer_age_seconds{app="1",rank="median"} 40`} {
		if got := exposed(metrics); !strings.Contains(got, want) {
			t.Errorf("no %s in\n%s", want, got)
		}
	}
	if c := a.census.Load(); c == nil || c.Online != 7 {
		t.Errorf("kept %+v", c)
	}
	a.dropChecks()
	for _, want := range []string{`poller_users{app="1",status="online"} 0`, `poller_answer_age_seconds{app="1",rank="median"} NaN`} {
		if got := exposed(metrics); !strings.Contains(got, want) {
			t.Errorf("no %s in\n%s", want, got)
		}
	}
	if c := a.census.Load(); c != nil {
		t.Errorf("kept %+v", c)
	}
}

// exposed is what Prometheus reads.
func exposed(metrics *status.Metrics) string {
	w := httptest.NewRecorder()
	status.Handler(metrics, status.NewChecks(), nil).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", http.NoBody))
	return w.Body.String()
}

// How far sweeps are apart is said as the schedule has it around a sweep, and not longer.
func TestInterval(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		schedule string
		at       string
		want     time.Duration
	}{
		{"@every 1m", "12:00", time.Minute},
		{"0 * * * *", "12:00", time.Hour},
		{"0 * * * *", "12:59", time.Hour},
		{"*/5 8-17 * * *", "12:00", 5 * time.Minute},
		{"*/5 8-17 * * *", "17:55", 14*time.Hour + 5*time.Minute},
		{"*/5 8-17 * * *", "07:00", time.Hour},
	} {
		s, err := poll.ParseSchedule(c.schedule)
		if err != nil {
			t.Fatal(err)
		}
		at, err := time.Parse("2006-01-02 15:04", "2026-11-23 "+c.at)
		if err != nil {
			t.Fatal(err)
		}
		if got := interval(s, at); got != c.want {
			t.Errorf("interval(%q, %s) = %s, want %s", c.schedule, c.at, got, c.want)
		}
	}
}
