package main

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/zim-presence/poller/internal/plan"
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
	if r.Notes[0] != "Sweeps run back to back: each takes longer than the schedule leaves room for." || len(r.Notes) != 2 ||
		!strings.HasPrefix(r.Notes[1], "stale_after is 40s, less than three times the 20") {
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
		"choose one with --app":   {"--users", "5", "--config", two},
		"app 9 is not configured": {"--users", "5", "--config", two, "--app", "9"},
		"no app is configured":    {},
		`--users: "1000000001" is not a whole number from 1 to 1000000000`: {"--users", "1000000001"},
		`--users: "0" is not a whole`:                                      {"--users", "0"},
		`--users: "1e6" is not a whole`:                                    {"--users", "1e6"},
		`--users: "" is not a whole`:                                       {"--users="},
		"--users: want a whole":                                            {"--users"},
		"no request would be answered":                                     {"--users", "5", "--latency", "6s"},
		"is no number of changes":                                          {"--users", "5", "--changes-per-hour=-1"},
		"is not from 0s to 1m":                                             {"--users", "5", "--latency", "61s"},
		`--users: "-5" is not a whole`:                                     {"--users", "-5"},
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

// What is said of the users is true of few, of many, and of those of a watchlist.
func TestPlanWords(t *testing.T) {
	for users, want := range map[string][]string{
		"10":       {"10 users, 20 requests", "\nrequests in a sweep     1, of 10 users\n", "\n       ◄ 10 users, left of the plot\n"},
		"1":        {"1 user, 20 requests", "\nrequests in a sweep     1, of 1 user\n", "◄ 1 user, left"},
		"101":      {"2, up to 100 users each"},
		"50000":    {"500, of 100 users each", "▲ 50,000 users\n", "▲ the most that fits: 118,100 users\n"},
		"20000000": {" 20,000,000 users, right of the plot ►\n"},
	} {
		text := planned80(t, []string{"LANG=C.UTF-8"}, "plan", "--users", users)
		for _, words := range want {
			if !strings.Contains(text, words) {
				t.Errorf("%s users: without %q:\n%s", users, words, text)
			}
		}
	}
	r := planned{want: plan.Want{Users: 400, Batch: 100, Rate: 20, Gaps: []time.Duration{time.Minute}}, ours: true}
	r.want.HoldOffline, r.changing, r.measured = time.Second, true, 25*time.Minute
	r.reckon()
	var out strings.Builder
	if err := r.print(&out, nil); err != nil {
		t.Fatal(err)
	}
	for _, words := range []string{"< your 400 users, left of the plot\n", "at 0 changes an hour, as counted over the last 25m\n"} {
		if !strings.Contains(out.String(), words) {
			t.Errorf("of a watchlist: without %q:\n%s", words, &out)
		}
	}
}

// stale_after wants three periods, and is warned about below.
func TestPlanOfAge(t *testing.T) {
	for after, want := range map[string]string{"60s": "up to 1m old when", "61s": "less than three times the 1m after", "179s": "less than three times", "180s": ""} {
		notes := strings.Join(plannedJSON(t, []string{"POLLER_STALE_AFTER=" + after}, "--users", "1000").Notes, "")
		if (want == "") != (notes == "") || !strings.Contains(notes, want) {
			t.Errorf("%s: got %q, want %q", after, notes, want)
		}
	}
}

// Where many are doubted at once it says so, and wants stale_after to last for the patience, two periods and a sweep.
func TestPlanOfPlausibility(t *testing.T) {
	doubt := []string{"POLLER_PLAUSIBILITY_MAX_OFFLINE_SHARE=0.3", "POLLER_PLAUSIBILITY_PATIENCE=2m"}
	const on, stale = "Where 30 % of those online or more go offline at once", "less than plausibility.patience, two periods and a sweep (4m1s)"
	for _, c := range []struct {
		environ   []string
		on, stale bool
	}{
		{nil, false, false}, {doubt[1:], false, false}, {doubt, true, false},
		{append(doubt, "POLLER_STALE_AFTER=4m"), true, true}, {append(doubt, "POLLER_STALE_AFTER=241s"), true, false}, {[]string{"POLLER_STALE_AFTER=4m"}, false, false},
	} {
		notes := strings.Join(plannedJSON(t, c.environ, "--users", "1000").Notes, "\n")
		if strings.Contains(notes, on) != c.on || strings.Contains(notes, stale) != c.stale || c.on && !strings.Contains(notes, "after plausibility.patience, 2m,") {
			t.Errorf("%q: notes %q; want that it is on: %t, that stale_after is short: %t", c.environ, notes, c.on, c.stale)
		}
	}
	planned80(t, append(doubt, "POLLER_STALE_AFTER=4m"), "plan", "--users", "1000")
}

// Times have one style.
func TestShortly(t *testing.T) {
	for want, d := range map[string]time.Duration{
		"12ms": 12 * time.Millisecond, "0.1s": 100 * time.Millisecond, "59.9s": 59_940 * time.Millisecond, "1m": time.Minute - time.Millisecond,
		"33m36s": 33*time.Minute + 36*time.Second, "23h59m": day - time.Minute, "1d": day - time.Second, "1d10h": 33*time.Hour + 36*time.Minute,
		"3d": 71*time.Hour + 45*time.Minute, "99d23h": 100*day - time.Hour, "100d": 100*day - time.Minute, "365d": 365*day + 5*time.Hour,
	} {
		if got := shortly(d); got != want {
			t.Errorf("%s is shown as %s, want %s", d, got, want)
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
		"0 0 1 * *":                    "2 from 720h0m0s to 744h0m0s",
		"* * 8-9 * * *":                "7200 from 1s to 22h0m1s",
		"* 0-58 * * * *":               "3540 from 1s to 1m1s",
		"0 0,1,3 * * *":                "3 from 1h0m0s to 21h0m0s",
		"0 0 * * 1-3":                  "3 from 24h0m0s to 120h0m0s", // from the second day on: 1, 5 and 1 day
		"0 8-9 * * 1-5":                "10 from 1h0m0s to 71h0m0s",
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
	if r.Measured < 3590 || r.Measured > 3900 {
		t.Errorf("the changes were counted over %.0f s", r.Measured)
	}
	if text := planned80(t, environ, "plan"); !strings.Contains(text, fmt.Sprintf("app %d: 500 users", uint32(worldApp))) ||
		!strings.Contains(text, "changes an hour, as counted over the last 1h") || !strings.Contains(text, "; the last one took ") || !strings.Contains(text, "1 invalid id,") {
		t.Error(text)
	}
	w.exec(`truncate watched_users`)
	var out, said bytes.Buffer
	if code := execute(t.Context(), []string{"plan"}, environ, &out, &said); code != 1 || !strings.Contains(said.String(), "nobody is on the watchlist") {
		t.Errorf("of an empty list: exit code %d, %s", code, &said)
	}
}
