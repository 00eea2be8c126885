package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/zim-presence/poller/internal/ledger"
	"github.com/zim-presence/poller/presence"
)

var explainNow = time.Date(2026, 11, 23, 9, 30, 0, 0, time.UTC)

// explained is alice, online since ten minutes, told, with everybody there; change makes another case of it.
func explained(change func(*ledger.Explained, *explainReport)) *explainReport {
	since := explainNow.Add(-10 * time.Minute)
	found := &ledger.Explained{
		Added: explainNow.Add(-time.Hour), Known: true,
		State: presence.State{
			User: presence.User{No: 7, ID: "alice"}, Watched: true, Status: presence.Online, Since: since, ObservedAt: since,
			AskedAt: since.Add(-time.Millisecond), LastSeq: 41,
		},
		Seen: explainNow.Add(-time.Minute),
		Events: []presence.Event{{AppID: 1, Log: "abcdef01", Transition: presence.Transition{
			Seq: 41, PrevSeq: 17, User: presence.User{No: 7, ID: "alice"}, Kind: presence.KindOnline, From: presence.Offline, To: presence.Online,
			After: since.Add(-time.Minute), ObservedAt: since, Sweep: 3,
		}}},
		Sweeps: []ledger.SweepOf{{Sweep: 9, Started: explainNow.Add(-time.Minute), Finished: explainNow.Add(-50 * time.Second), Seen: 3}},
		Holder: ledger.Holder{Owner: "host:1:a", Epoch: 2, Expires: explainNow.Add(9 * time.Second)}, Newest: 50,
	}
	answer := daemonAnswer{
		AskedAt: explainNow.Add(-3 * time.Second), At: explainNow.Add(-2 * time.Second), Lane: "sweep", Result: "0", HTTP: 200, RequestID: "77", Status: "online",
	}
	apply := func(r *explainReport) {
		if change != nil {
			change(found, r)
		}
	}
	apply(&explainReport{})
	r := newExplainReport(1, "alice", found, explainNow)
	for i := range r.Events {
		r.Events[i].Told, r.Events[i].StreamSeq = "there", 60
	}
	r.Stream.Entry = &explainEntry{Seq: 41, ID: "1-abcdef01-41", Revision: 3}
	r.Daemon = explainDaemon{URL: "http://localhost:8080", Story: &daemonStory{Owner: "host:1:a", Holds: true, Answers: []daemonAnswer{answer}}}
	apply(r)
	r.Summary = r.story()
	return r
}

// baseline is that alice was unknown before, since the event with this number, and of this kind; 0 for never known.
func baseline(f *ledger.Explained, before int64, kind presence.Kind) {
	e := &f.Events[0]
	e.Kind, e.From, e.After, e.PrevSeq = presence.KindBaseline, presence.Unknown, time.Time{}, before
	if before > 0 {
		f.Events = append(f.Events[:1:1], *e)
		e = &f.Events[1]
		e.Seq, e.Kind, e.To, e.ObservedAt = before, kind, presence.Unknown, e.ObservedAt.Add(-time.Minute)
	}
}

// answers is what the daemon remembers; a call before the daemon was asked changes nothing.
func answers(r *explainReport, change func(*daemonStory)) {
	if r.Daemon.Story != nil {
		change(r.Daemon.Story)
	}
}

func TestExplainStory(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*ledger.Explained, *explainReport)
		want   []string
		not    []string
	}{
		"online": {nil, []string{
			"alice is online since 2026-11-23T09:20:00.000000Z (10m0s ago).", "the one asked for at 2026-11-23T09:19:00.000000Z still said offline",
			"The newest request about it left 3s ago: ZIM said online (request 77).", "is message 60 of PRESENCE_1", "The bucket has that event, too.",
		}, []string{"missed", "waits", "not what was told", "not told", "unknown"}},
		"brought by a request that is known": {func(_ *ledger.Explained, r *explainReport) {
			answers(r, func(d *daemonStory) { d.Answers[0].At = explainNow.Add(-10 * time.Minute) })
		}, []string{"said online (request 77); the one"}, nil},
		"confirmed": {func(f *ledger.Explained, _ *explainReport) {
			f.Events[0].ConfirmedAt = explainNow.Add(-9 * time.Minute)
		},
			[]string{"That was held back, and taken for true at 2026-11-23T09:21:00.000000Z."}, nil},
		"stale": {func(f *ledger.Explained, _ *explainReport) { f.State.Status, f.State.Stale = presence.Unknown, true },
			[]string{"alice is unknown since 2026-11-23T09:20:00.000000Z (10m0s ago): there has been no answer for longer than stale_after allows"}, []string{"brought"}},
		"never answered": {func(f *ledger.Explained, r *explainReport) {
			f.State.Status, f.State.LastSeq, f.Events, f.Seen, r.Stream.Entry = presence.Unknown, 0, nil, time.Time{}, nil
			answers(r, func(d *daemonStory) {
				d.Refused = true
				d.Answers[0] = daemonAnswer{AskedAt: d.Answers[0].AskedAt, Result: "660000012", Code: 660000012, HTTP: 200, RequestID: "78"}
			})
		}, []string{"ZIM has not said a status yet", "ZIM answered code 660000012", "(request 78)", "ZIM refuses the id itself"}, []string{"newest answer that said"}},
		"missed": {func(f *ledger.Explained, r *explainReport) {
			f.Sweeps[0].Missed = true
			answers(r, func(d *daemonStory) {
				d.Answers = append(d.Answers, daemonAnswer{AskedAt: explainNow.Add(-time.Second), Result: "timeout"})
			})
		}, []string{"left 1s ago: no answer: timeout (request without an id)", "said a status was asked for 3s ago: ZIM said online", "no answer about it in the newest complete sweep."}, nil},
		"waits": {func(f *ledger.Explained, r *explainReport) {
			f.Held = &presence.Held{To: presence.Offline, Detail: presence.NoSession, After: explainNow.Add(-9 * time.Second), SeenAt: explainNow.Add(-8 * time.Second)}
			r.hold.Offline = 30 * time.Second
			answers(r, func(d *daemonStory) { d.Answers[0].Status = "offline" })
		}, []string{"A change to offline (no session) waits to be confirmed", "asked for at 2026-11-23T09:30:22.000000Z or later", "dropped when one says online again"}, []string{"not what was told"}},
		"in an incident": {func(_ *ledger.Explained, r *explainReport) {
			answers(r, func(d *daemonStory) { d.Answers[0].Status = "offline" })
		}, []string{"That is not what was told when the database was asked"}, nil},
		"while an incident is under way": {func(_ *ledger.Explained, r *explainReport) {
			answers(r, func(d *daemonStory) {
				ended := explainNow.Add(-time.Minute)
				d.Incidents = []daemonIncident{
					{Incident: 3, BeganAt: explainNow.Add(-2 * time.Minute), EndedAt: &ended, Outcome: "discarded", Flips: 70, Share: 0.5},
					{Incident: 4, BeganAt: explainNow.Add(-9 * time.Second), Flips: 165, Share: 1},
				}
			})
		}, []string{"Incident 4 is under way since 2026-11-23T09:29:51.000000Z (9s ago): 165 users (100 % of those online) are said to have gone; some are asked about again before anything is told."},
			[]string{"Incident 3"}},
		"suppressed": {func(_ *ledger.Explained, r *explainReport) {
			answers(r, func(d *daemonStory) {
				d.Suppressed = []daemonSuppressed{{Why: "hold"}, {Why: "incident", Status: "offline", Detail: "timeout", At: explainNow}}
			})
		}, []string{"2 changes were answered lately and not told: 1 did not last for the hold, 1 was of an incident. The newest, to offline (timeout)", "was not confirmed"}, nil},
		"suppressed for every reason": {func(_ *ledger.Explained, r *explainReport) {
			answers(r, func(d *daemonStory) {
				d.Suppressed = nil
				for _, why := range []string{"hold", "hold", "hold", "removed", "stale", "incident", "incident"} {
					d.Suppressed = append(d.Suppressed, daemonSuppressed{Why: why})
				}
			})
		}, []string{"7 changes were answered lately and not told: 3 did not last for the hold, 2 were of an incident, 1 was of before it left the watchlist, 1 was of before it became stale."}, nil},
		"new to the watchlist": {func(f *ledger.Explained, _ *explainReport) { baseline(f, 0, presence.KindBaseline) },
			[]string{"said online, and nothing was known before."}, []string{"since event"}},
		"back from stale": {func(f *ledger.Explained, _ *explainReport) { baseline(f, 17, presence.KindStale) },
			[]string{"said online; before, it was unknown since event 17, for lack of answers."}, []string{"nothing was known"}},
		"back on the watchlist": {func(f *ledger.Explained, _ *explainReport) { baseline(f, 17, presence.KindRemoved) },
			[]string{"said online; before, it was unknown since event 17, when it had left the watchlist."}, []string{"nothing was known"}},
		"back from what is not shown": {func(f *ledger.Explained, _ *explainReport) {
			baseline(f, 17, presence.KindStale)
			f.Events = f.Events[:1]
		}, []string{"said online; before, it was unknown since event 17."}, []string{"nothing was known"}},
		"in an outage": {func(f *ledger.Explained, r *explainReport) {
			f.Sweeps[0].Missed, f.Sweeps[0].Seen = true, 0
			answers(r, func(d *daemonStory) {
				d.Trouble = "ZIM does not answer since 2026-11-23T09:29:58Z: connection refused"
			})
		}, []string{"left 3s ago: ZIM said online (request 77).\nThe check zim/1 of that daemon is red: ZIM does not answer since 2026-11-23T09:29:58Z: connection refused.",
			"There was no answer about anybody in the newest complete sweep."}, []string{"about it in"}},
		"missed, and then all": {func(f *ledger.Explained, _ *explainReport) {
			f.Sweeps = []ledger.SweepOf{f.Sweeps[0], f.Sweeps[0], f.Sweeps[0]}
			for i := range f.Sweeps {
				f.Sweeps[i].Missed, f.Sweeps[i].Seen = true, 3*min(i, 1)
			}
		}, []string{"There was no answer about it in the newest 3 complete sweeps; in 1 of them about nobody."}, nil},
		"removed": {func(f *ledger.Explained, _ *explainReport) {
			f.State.Watched, f.State.Status, f.Added = false, presence.Unknown, time.Time{}
		}, []string{"when it was found to have left the watchlist: event 41"}, []string{"It is on", "It is not on"}},
		"back": {func(f *ledger.Explained, _ *explainReport) { f.State.Watched, f.State.Status = false, presence.Unknown },
			[]string{"It is on the watchlist again since"}, nil},
		"about to be removed": {func(f *ledger.Explained, _ *explainReport) { f.Added = time.Time{} }, []string{"the next sweep tells it as removed"}, nil},
		"a standby": {func(_ *ledger.Explained, r *explainReport) {
			answers(r, func(d *daemonStory) { d.Owner, d.Holds, d.Answers = "host:2:b", false, nil })
		}, []string{"The daemon that was asked knows of no request about it.", "host:2:b, does not poll the app: host:1:a does."}, nil},
		"no daemon": {func(_ *ledger.Explained, r *explainReport) {
			r.Daemon = explainDaemon{URL: "http://x", Why: "connection refused"}
		},
			[]string{"known to have been so at 2026-11-23T09:29:00.000000Z, 1m0s ago", "the daemon at http://x could not be asked: connection refused.", "polled by host:1:a"}, nil},
		"nobody polls": {func(f *ledger.Explained, _ *explainReport) { f.Holder = ledger.Holder{} }, []string{"Nobody polls the app"}, nil},
		"expired":      {func(f *ledger.Explained, _ *explainReport) { f.Holder.Expires = explainNow.Add(-time.Second) }, []string{"nobody polls it"}, nil},
		"not told yet": {func(_ *ledger.Explained, r *explainReport) {
			for i := range r.Events {
				r.Events[i].Told, r.Events[i].StreamSeq, r.Stream.Entry = "not told yet", 0, nil
			}
		}, []string{"Its newest event, 41, is not in PRESENCE_1: not told yet.", "The bucket has no entry of it."}, nil},
		"restored": {func(_ *ledger.Explained, r *explainReport) {
			for i := range r.Events {
				r.Events[i].Told, r.Stream.Entry = "another event", &explainEntry{Seq: 40, ID: "x"}
			}
		}, []string{"has another one, message 60", "The bucket has event 40 of it, and not its newest."}, nil},
		"no bucket": {func(_ *ledger.Explained, r *explainReport) { r.Stream.Bucketless = true }, []string{"There is no bucket."}, nil},
		"no NATS":   {func(_ *ledger.Explained, r *explainReport) { r.Stream.Why = "not connected" }, []string{"NATS could not be asked (not connected)"}, []string{"bucket"}},
		"new":       {func(f *ledger.Explained, _ *explainReport) { *f = ledger.Explained{Added: f.Added} }, []string{"no sweep has found it there yet"}, []string{"unknown", "sweeps:"}},
	} {
		r := explained(c.change)
		said := strings.Join(r.Summary, "\n")
		for _, want := range c.want {
			if !strings.Contains(said, want) {
				t.Errorf("%s: without %q:\n%s", name, want, said)
			}
		}
		for _, not := range c.not {
			if strings.Contains(said, not) {
				t.Errorf("%s: with %q:\n%s", name, not, said)
			}
		}
		if text := r.text(); !strings.HasPrefix(text, said) {
			t.Errorf("%s: the text does not begin with the sentences:\n%s", name, text)
		}
	}
}

// A daemon at another address may say anything, and does not write over the terminal.
func TestExplainHostileDaemon(t *testing.T) {
	text := explained(func(_ *ledger.Explained, r *explainReport) {
		answers(r, func(d *daemonStory) { d.Owner, d.Answers[0].RequestID = "\x1b[2Jme", "7\x1b]0;x\a7" })
	}).text()
	if strings.ContainsAny(text, "\x1b\a") || !strings.Contains(text, "(request 7?]0;x?7)") {
		t.Errorf("what is printed: %q", text)
	}
}

// What a sweep was for the user is only said of one that asked.
func TestExplainSweeps(t *testing.T) {
	at := func(minutes int) time.Time { return explainNow.Add(time.Duration(minutes) * time.Minute) }
	sweep := func(from, to int, missed bool) ledger.SweepOf {
		return ledger.SweepOf{Sweep: 9, Started: at(from), Finished: at(to), Missed: missed}
	}
	for name, c := range map[string]struct {
		sweep   ledger.SweepOf
		removed bool
		want    bool
	}{
		"watched":                      {sweep: sweep(-20, -15, false), want: true},
		"added while it was under way": {sweep: sweep(-61, -59, false)},
		"before":                       {sweep: sweep(-70, -65, false)},
		"missed, so it was asked":      {sweep: sweep(-61, -59, true), want: true},
		"before the removal":           {sweep: sweep(-12, -11, false), removed: true, want: true},
		"the one that removed":         {sweep: sweep(-11, -9, false), removed: true},
		"behind the removal":           {sweep: sweep(-8, -7, false), removed: true},
	} {
		r := explained(func(f *ledger.Explained, _ *explainReport) {
			f.Sweeps = []ledger.SweepOf{c.sweep}
			if c.removed {
				f.State.Watched, f.State.Status, f.Added = false, presence.Unknown, time.Time{}
			}
		})
		if got := len(r.Sweeps) == 1; got != c.want {
			t.Errorf("%s: shown %t, want %t", name, got, c.want)
		}
	}
}

// Answers that say the same again and again take one line, and none that brought something is left out.
func TestExplainDullAnswers(t *testing.T) {
	r := explained(nil)
	d := r.Daemon.Story
	d.Answers = nil
	for i := range 40 {
		status := "online"
		if i >= 10 && i < 20 || i == 25 {
			status = "offline"
		}
		d.Answers = append(d.Answers, daemonAnswer{
			AskedAt: explainNow.Add(time.Duration(i) * time.Second), At: explainNow.Add(time.Duration(i) * time.Second), Lane: "sweep", Result: "0",
			HTTP: 200, RequestID: fmt.Sprintf("#%d.", i), Status: status,
		})
	}
	text, shown := r.text(), []int{}
	for i := range 40 {
		if strings.Contains(text, fmt.Sprintf("#%d.", i)) {
			shown = append(shown, i)
		}
	}
	if want := []int{0, 9, 10, 19, 20, 24, 25, 26, 37, 38, 39}; !slices.Equal(shown, want) || strings.Count(text, "more that said the same") != 4 {
		t.Errorf("shown are %v, want %v:\n%s", shown, want, text)
	}
	// The table stays one: each row has its last cell where the head has it.
	_, table, _ := strings.Cut(text, "remembers it:\n")
	table, _, _ = strings.Cut(table, "\n\n")
	lines := strings.Split(table, "\n")
	before, _, _ := strings.Cut(lines[0], "THIS USER")
	for _, line := range lines {
		if cells := []rune(line); len(cells) <= len(before) || cells[len(before)-1] != ' ' || cells[len(before)] == ' ' {
			t.Fatalf("%q has nothing below THIS USER:\n%s", line, table)
		}
	}
}
