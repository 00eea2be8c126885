package main

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/zim-presence/poller/internal/zimsim"
)

// longAgo moves all that was recorded to so many days ago, whose partition it
// makes, and returns that day.
func (w *world) longAgo(days int) (day string) {
	w.t.Helper()
	at := time.Now().UTC().Add(-time.Duration(days) * 24 * time.Hour).Truncate(24 * time.Hour)
	w.exec(fmt.Sprintf(`create table transitions_%s partition of transitions for values from ('%s') to ('%s')`,
		at.Format("20060102"), at.Format(time.RFC3339), at.Add(24*time.Hour).Format(time.RFC3339)))
	w.exec(`update transitions set recorded_at = $1`, at.Add(time.Hour))
	w.exec(`update relay_cursors set recorded_at = $1`, at.Add(time.Hour))
	w.exec(`update snapshots set started = $1, finished = $2`, at.Add(time.Hour), at.Add(2*time.Hour))
	return at.Format("2006-01-02")
}

// Everything goes on when the ledger's beginning is dropped under it, and the
// stream has nothing left that old: telling, the memory of a restart, the view
// presence, and the proof that all agrees.
func TestPruneUnderTheProgram(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "POLLER_HTTP_LISTEN=127.0.0.1:0")
	users := population(50)
	w.set(users)
	w.watch(keys(users)...)
	if out, code := w.run("sweep"); code != 0 {
		t.Fatalf("poller sweep: exit code %d, %s", code, out)
	}
	w.exec(`insert into transitions select 7, seq, user_no, user_id, kind, from_status, to_status, detail, after, observed_at, prev_seq,
	        sweep, log, encoding, recorded_at from transitions`)
	w.exec(`insert into apps (app_id, last_seq) values (7, 50)`)
	day := w.longAgo(95)
	stream, err := w.js.Stream(t.Context(), "PRESENCE_"+strconv.Itoa(worldApp))
	if err == nil {
		err = stream.Purge(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}

	// Another app, which nobody is configured for, holds the day back, and is named.
	out, code := w.run("prune", "--dry-run")
	if code != 0 || !strings.Contains(out, day) || !strings.Contains(out, "kept: app 7: event 50 has not been told (told: 0), no complete sweep has left a snapshot since event 50") {
		t.Errorf("poller prune --dry-run: exit code %d\n%s", code, out)
	}
	if out, code = w.run("prune"); code != 0 || !strings.Contains(out, "kept: app 7") {
		t.Errorf("poller prune: exit code %d\n%s", code, out)
	}
	if n := w.count(`select count(*) from transitions`); n != 100 {
		t.Errorf("%d events are left, want 100", n)
	}
	w.exec(`delete from transitions where app_id = 7`)

	daemon := w.start("run")
	w.until("the day to be dropped", func() bool { return w.count(`select pruned_seq from apps where app_id = $1`, worldApp) == 50 })
	w.untilReady(daemon)
	changed := among(users, zimsim.Online, 5)
	for _, id := range changed {
		w.set(map[string]zimsim.State{id: zimsim.LoggedOut})
	}
	for id, events := range w.newEvents(50, len(changed)) {
		if len(events) != 1 || !slices.Contains(changed, id) || events[0].PrevSeq == 0 {
			t.Errorf("of %s was told %+v, want one event that follows its baseline", id, events)
		}
	}
	if n := w.count(`select count(*) from presence where observed_at is null or since is null`); n != 0 {
		t.Errorf("%d users of the view presence have lost their times", n)
	}
	daemon.stop()
	if daemon.logged("pruned") != 1 {
		t.Error("the daemon does not say that it has pruned")
	}
	// Once more with a ledger and a stream that are empty, when it starts.
	w.longAgo(93)
	w.auditBesidePrune()
	if err := stream.Purge(context.Background()); err != nil {
		t.Fatal(err)
	}
	out, code = w.run("prune", "-o", "json")
	var report pruneReport
	if err := json.Unmarshal([]byte(out), &report); err != nil || code != 0 {
		t.Fatalf("poller prune -o json: exit code %d, %v\n%s", code, err, out)
	}
	if len(report.Days) != 1 || !report.Days[0].Dropped || report.Days[0].Rows != 5 || report.Bytes < report.Days[0].Bytes || report.Days[0].Bytes == 0 {
		t.Errorf("poller prune -o json: %s, want one day with 5 rows dropped", out)
	}
	daemon = w.start("run")
	w.untilReady(daemon)
	w.set(map[string]zimsim.State{changed[0]: zimsim.Online})
	w.newEvents(55, 1)
	daemon.stop()
	w.audit()
}

// auditBesidePrune prunes while an audit has read where the ledger begins, and
// not yet the ledger: it has to find what it has read of.
func (w *world) auditBesidePrune() {
	w.t.Helper()
	ctx := context.Background()
	tx, err := w.pool.Begin(ctx)
	if err == nil {
		_, err = tx.Exec(ctx, `lock table gaps in access exclusive mode`)
	}
	if err != nil {
		w.t.Fatal(err)
	}
	audited := make(chan struct{})
	go func() { w.audit(); close(audited) }()
	w.until("the audit to wait", func() bool {
		return w.count(`select count(*) from pg_locks where relation = 'gaps'::regclass and not granted`) == 1
	})
	if out, code := w.run("prune"); code != 1 {
		w.t.Errorf("poller prune beside an audit: exit code %d, want 1\n%s", code, out)
	}
	_ = tx.Rollback(ctx) // lets the audit go on
	<-audited
}

func TestPruneReportText(t *testing.T) {
	keep := retentionConfig{Transitions: 90 * day}
	for name, c := range map[string]struct {
		report pruneReport
		want   string
	}{
		"nothing": {pruneReport{keep: keep}, "transitions older than 90d: 0 days\nfreed: 0 B\n"},
		"to be done": {
			pruneReport{keep: keep, DryRun: true, Bytes: 31_250_000,
				Days: []pruneDay{
					{Day: "2026-08-20", Rows: 1_200_000, Bytes: 28_150_000, Dropped: true},
					{Day: "2026-08-21", Rows: 1, Bytes: 64_000, Kept: "app 7: the replay audit needs it (event 4 of 10)"},
				},
				Snapshots: []pruneSnapshots{
					{AppID: 7, Class: "daily", Kept: 310, Dropped: 24, Bytes: 3_100_000},
					{AppID: 7, Class: "needed", Kept: 101},
					{AppID: 8, Class: "hourly", Kept: 20, Held: "the replay audit is in progress"},
				}},
			`transitions older than 90d: 2 days
  2026-08-20  1200000 rows  28.1 MB  to drop
  2026-08-21  1 row         64.0 kB  kept: app 7: the replay audit needs it (event 4 of 10)
snapshots of app 7:
  daily   310 kept  24 to drop  3.1 MB
  needed  101 kept  0 to drop   0 B
snapshots of app 8:
  hourly  20 kept  0 to drop  0 B  kept: the replay audit is in progress
needed, whatever their age: the newest 100 of each app, and the one that the beginning of the ledger goes on from
to be freed: 31.2 MB
`},
	} {
		if got := c.report.text(); got != c.want {
			t.Errorf("%s:\n%s\nwant:\n%s", name, got, c.want)
		}
	}
}
