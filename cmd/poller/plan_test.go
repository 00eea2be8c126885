package main

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/zim-presence/poller/internal/zimsim"
)

// Without a configuration, a database and an app it reckons with the defaults; what is configured counts.
func TestPlanOfANumber(t *testing.T) {
	two := writeFile(t, "two.yaml", "apps:\n- {app_id: 7, server_secret: s}\n- {app_id: 8, server_secret: s, rate: 50, schedule: '@every 10s'}\n"+
		"hold: {offline: 30s}\nstale_after: 40s\n")
	r := plannedJSON(t, nil, "--users", "100000")
	if r.Requests != 1000 || r.Rate != 20 || !r.Fits || r.FitRate != 17 || r.FitEvery != 51 || r.FitUsers != 118_100 || r.Seen.Mean != 30.05 || r.Hold != nil || r.AppID != 0 {
		t.Errorf("by default: %+v", r)
	}
	r = plannedJSON(t, nil, "--users", "100000", "--config", two, "--app", "8", "--changes-per-hour", "3600")
	if r.AppID != 8 || r.Rate != 50 || r.Fits || !r.BackToBack || r.Hold == nil || r.Hold.PerHour <= 0 || r.Offline.Mean < r.Seen.Mean+30 || r.Online != r.Seen {
		t.Errorf("of the second app: %+v", r)
	}
	if r.Notes[0] != "Sweeps run back to back: each takes longer than the schedule leaves room for." || len(r.Notes) != 1 {
		t.Errorf("notes %q", r.Notes)
	}
	r = plannedJSON(t, nil, "--users", "1000", "--config", two, "--app", "7", "--latency", "1s")
	if r.Seen.Worst != 61 || !slices.ContainsFunc(r.Notes, func(n string) bool {
		return strings.HasPrefix(n, "stale_after is 40s, and an answer is up to 1m1s old")
	}) ||
		!slices.ContainsFunc(r.Notes, func(n string) bool { return strings.Contains(n, "--changes-per-hour") }) {
		t.Errorf("of the first app: %+v", r)
	}
	for says, args := range map[string][]string{
		"choose one with --app":        {"--users", "5", "--config", two},
		"app 9 is not configured":      {"--users", "5", "--config", two, "--app", "9"},
		"no app is configured":         {},
		"not from 1 to a billion":      {"--users", "1000000001"},
		"--users 0 is not from 1":      {"--users", "0"},
		"no request would be answered": {"--users", "5", "--latency", "6s"},
		"is no number of changes":      {"--users", "5", "--changes-per-hour=-1"},
		"is not from 0s to 1m":         {"--users", "5", "--latency", "61s"},
		"--users: expected uint":       {"--users", "-5"},
	} {
		var out, said bytes.Buffer
		if code := execute(t.Context(), append([]string{"plan"}, args...), nil, &out, &said); code != 2 || !strings.Contains(said.String(), says) || out.Len() > 0 {
			t.Errorf("poller plan %q: exit code %d, %q; want 2, %q", args, code, &said, says)
		}
	}
}

// Whatever is reckoned fits a terminal, also one that knows ASCII alone.
func TestPlanFitsTheTerminal(t *testing.T) {
	for _, users := range []string{"1", "999", "1000", "12345", "31622", "117000", "999999", "10000000", "1000000000"} {
		for _, environ := range [][]string{
			{"LC_ALL=C", "LANG=en_US.UTF-8"}, {"LANG=de_DE.utf8"}, {"POLLER_SCHEDULE=@yearly", "POLLER_ZIM_RATE=100000"},
			{"POLLER_ZIM_RATE=0.001", "POLLER_ZIM_BATCH_SIZE=1"}, {"POLLER_SCHEDULE=*/7 * * * *", "POLLER_HOLD_OFFLINE=1m", "POLLER_HOLD_ONLINE=59m59s", "POLLER_STALE_AFTER=1h"},
		} {
			text := planned80(t, environ, "plan", "--users", users, "--changes-per-hour", "1000000")
			plain := !strings.ContainsFunc(text, func(r rune) bool { return r > 127 })
			if utf8 := slices.Contains(environ, "LANG=de_DE.utf8"); plain == utf8 {
				t.Errorf("%s, %s users: plain %t\n%s", environ, users, plain, text)
			}
		}
	}
}

// The gaps of a week are those of the schedule.
func TestDueGaps(t *testing.T) {
	monday := time.Date(2026, 3, 2, 0, 0, 30, 0, time.UTC)
	for spec, want := range map[string]string{
		"@every 90s":                   "1 from 1m30s to 1m30s",
		"*/5 * * * *":                  "1 from 5m0s to 5m0s",
		"0 8 * * 1-5":                  "5 from 24h0m0s to 72h0m0s",
		"0 0 1 * *":                    "4 from 720h0m0s to 744h0m0s",
		"* * 8-9 * * *":                "50400 from 1s to 22h0m1s",
		"CRON_TZ=Europe/Berlin @daily": "1 from 24h0m0s to 24h0m0s",
		"0 0 29 2 *":                   "1 from 35064h0m0s to 35064h0m0s",
	} {
		gaps, err := dueGaps(spec, monday)
		if err != nil {
			t.Fatalf("%s: %v", spec, err)
		}
		if got := fmt.Sprintf("%d from %s to %s", len(gaps), slices.Min(gaps), slices.Max(gaps)); got != want {
			t.Errorf("%s: %s, want %s", spec, got, want)
		}
	}
}

// Of a watchlist it says what a sweep then takes: the requests, to the last one.
func TestPlanOfAWatchlist(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	states := map[string]zimsim.State{}
	for i := range 500 { // so long that a batch is cut by its bytes
		states[fmt.Sprintf("user %03d%s", i, strings.Repeat("@", 23))] = zimsim.Online
	}
	w.set(states)
	w.watch(keys(states)...)
	w.watch("not/valid")
	if out, code := w.run("sweep"); code != 0 {
		t.Fatal(out)
	}
	environ := append(slices.Clone(w.env), "POLLER_HOLD_OFFLINE=20s", "LANG=C")
	r := plannedJSON(t, environ)
	if r.AppID != worldApp || r.Users != 500 || r.Invalid != 1 || r.UsersPerRequest >= 100 || r.LastSweep == nil || r.LastSweep.Requests != r.Requests || r.ChangesPerHour != nil {
		t.Errorf("after one sweep: %+v, %+v", r, r.LastSweep)
	}
	// As if that sweep had been an hour ago, and 30 had changed since.
	w.exec(`update snapshots set started = started - interval '1 hour', finished = finished - interval '1 hour'`)
	for id := range among(states, zimsim.Online, 30) {
		w.set(map[string]zimsim.State{keys(states)[id]: zimsim.LoggedOut})
	}
	w.run("sweep")
	r = plannedJSON(t, environ)
	if r.ChangesPerHour == nil || *r.ChangesPerHour < 25 || *r.ChangesPerHour > 30.1 || r.Hold == nil {
		t.Errorf("after an hour with 30 changes: %+v", r)
	}
	if text := planned80(t, environ, "plan"); !strings.Contains(text, fmt.Sprintf("app %d: 500 users", uint32(worldApp))) ||
		!strings.Contains(text, "; the last one took ") || !strings.Contains(text, "1 invalid id,") {
		t.Error(text)
	}
	w.exec(`truncate watched_users`)
	var out, said bytes.Buffer
	if code := execute(t.Context(), []string{"plan"}, environ, &out, &said); code != 1 || !strings.Contains(said.String(), "nobody is on the watchlist") {
		t.Errorf("of an empty list: exit code %d, %s", code, &said)
	}
}
