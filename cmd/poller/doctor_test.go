package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/zim-presence/poller/internal/zimsim"
)

// examined is one run of the command.
type examined struct {
	doctorReport
	t     testing.TB
	table map[string]bool // the checks that the manual names
}

// doctor runs the command in this process, under the world's environment and what goes before it.
func (w *world) doctor(code int, env []string, args ...string) *examined {
	w.t.Helper()
	var out, said bytes.Buffer
	got := execute(context.Background(), append([]string{"doctor", "-o", "json", "--timeout", "10s"}, args...), append(w.env, env...), &out, &said)
	r := &examined{t: w.t, table: doctorTable(w.t)}
	if err := json.Unmarshal(out.Bytes(), &r.doctorReport); err != nil {
		w.t.Fatalf("poller doctor: exit code %d, %v: %s%s", got, err, out.String(), said.String())
	}
	text := r.text(false)
	if got != code || said.Len() > 0 || r.OK != (code == 0) {
		w.t.Errorf("poller doctor: exit code %d, want %d; it says %q\n%s", got, code, said.String(), text)
	}
	for _, secret := range []string{worldSecret, "Signature=", "UserId%5B"} {
		if strings.Contains(out.String(), secret) {
			w.t.Errorf("poller doctor prints %s:\n%s", secret, text)
		}
	}
	for _, f := range r.Findings {
		if (f.Verdict == verdictFault || f.Verdict == verdictWarning) == (f.Mend == "") {
			w.t.Errorf("%s %s: a mend belongs to what is wrong, and to nothing else: %+v", f.Group, f.Check, f)
		}
		if !r.table[f.Group+"/"+f.Check] && f.Group != "daemon" {
			w.t.Errorf("docs/operations.md does not name the check %s of %s", f.Check, f.Group)
		}
	}
	return r
}

// doctorTable are the checks that the manual names, by group.
func doctorTable(t testing.TB) map[string]bool {
	t.Helper()
	manual, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(manual), "\n## poller doctor\n")
	section, _, _ = strings.Cut(section, "\n## ")
	named, group := map[string]bool{}, ""
	for _, row := range regexp.MustCompile(`(?m)^\| (\w*) ?\| (.*?) \| (.*) \|$`).FindAllStringSubmatch(section, -1) {
		if row[1] != "" {
			group = row[1]
		}
		for _, check := range regexp.MustCompile("`([a-z_. ]+)`").FindAllStringSubmatch(row[2], -1) {
			named[group+"/"+check[1]] = true
		}
		if strings.Contains(row[3], "(`server`)") {
			named[group+"/server"] = true
		}
	}
	return named
}

// wants looks for a finding with that verdict, with words in its text or its mend.
func (r *examined) wants(verdict, check string, words ...string) {
	r.t.Helper()
	if !r.has(verdict, check, words...) {
		r.t.Errorf("there is no %s of %q with %q:\n%s", verdict, check, words, r.text(false))
	}
}

func (r *examined) has(verdict, check string, words ...string) bool {
	return slices.ContainsFunc(r.Findings, func(f finding) bool {
		lacks := slices.ContainsFunc(words, func(word string) bool { return !strings.Contains(f.Text+"\n"+f.Mend, word) })
		return f.Check == check && f.Verdict == verdict && !lacks
	})
}

// onlyFault wants all that is broken to be of one check.
func (r *examined) onlyFault(check string, words ...string) {
	r.t.Helper()
	r.wants(verdictFault, check, words...)
	for _, f := range r.Findings {
		if f.Verdict == verdictFault && f.Check != check {
			r.t.Errorf("%s is a fault, too: %s", f.Check, f.Text)
		}
	}
}

// Before the first start, beside a daemon, and after it: doctor asks ZIM where nobody polls, and there alone; and changes
// nothing.
func TestDoctorInALife(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "POLLER_HTTP_LISTEN=127.0.0.1:0", "POLLER_SCHEDULE=@every 1h")
	w.exec(`drop schema public cascade`)
	w.exec(`create schema public`)
	r := w.doctor(0, nil)
	r.wants(verdictWarning, "schema", "no tables of the poller yet", "poller migrate")
	r.wants(verdictOK, "query", "code 660200001", "need not exist", "request ")
	r.wants(verdictOK, "clock", "to about a second")
	r.wants(verdictUntried, "rights", "no tables yet")
	r.wants(verdictUntried, "readiness", "http.listen gives no address")
	if n := w.count(`select count(*) from pg_tables where schemaname = 'public'`); n != 0 || w.zim.Stats().Arrivals != 1 {
		t.Errorf("%d tables were made, %d requests sent; want none and 1", n, w.zim.Stats().Arrivals)
	}
	if out, code := w.run("migrate"); code != 0 {
		t.Fatal(out)
	}
	w.set(map[string]zimsim.State{"alice": zimsim.Online, "bob": zimsim.Online})
	w.watch("alice", "bob", "bad/id")
	r = w.doctor(0, nil)
	r.wants(verdictOK, "query", "one watched user: code 0")
	r.wants(verdictOK, "lease", "nobody holds it; no daemon")
	r.wants(verdictOK, "event stream", "is not there yet")
	r.wants(verdictOK, "ledger and stream", "no event stream yet")
	r.wants(verdictWarning, "watchlist", "2 users", "bad/id", "poller watch list --app 4000000001 --invalid")
	r.wants(verdictOK, "rights")
	r.wants(verdictWarning, "partitions", "0 days")
	if n := w.count(`select count(*) from apps where owner is null and budget_free_at > now() - interval '1 minute'`); n != 1 {
		t.Error("the lease was not given back with the time when the budget is free")
	}

	daemon := w.start("run")
	w.until("a complete sweep", func() bool { return w.count(`select count(*) from snapshots where seen = 2`) == 1 })
	address := daemon.site().addr
	w.until("the daemon is ready", func() bool {
		r, err := fetchReadiness(t.Context(), "http://"+address)
		return err == nil && *r.Ready
	})
	from := "--from=" + address
	w.until("everything is told", func() bool { return w.count(`select count(*) from relay_cursors where told_seq = 2`) == 1 })
	before, asked := w.everything(), w.zim.Stats().Arrivals
	r = w.doctor(0, nil, from)
	r.wants(verdictOK, "lease", "held by ", "daemons of this app that live: ")
	r.wants(verdictUntried, "query", "which has the app's budget: sweep 1 reached 2 users", "given here was not tried")
	r.wants(verdictOK, "clock", "agrees with ZIM's")
	r.wants(verdictOK, "sweep", "reached 2 of 2 users")
	r.wants(verdictOK, "readiness", "all green")
	r.wants(verdictOK, "event stream", "2 messages")
	r.wants(verdictOK, "ledger and stream", "agree at event 2, and all is told")
	if after := w.everything(); after != before || w.zim.Stats().Arrivals != asked {
		t.Errorf("%d requests were sent before, and %d now; there was\n%s\nand now\n%s", asked, w.zim.Stats().Arrivals, before, after)
	}
	w.nats.Stop()
	r = w.doctor(1, nil, from)
	r.wants(verdictFault, "connection", "refused", "nats.url")
	w.until("the daemon's check is red, and told", func() bool { return w.doctor(1, nil, from).has(verdictFault, "nats") })
	daemon.kill()
	w.nats.Start()
	w.until("the database sees that the daemon is gone", func() bool {
		return w.doctor(0, nil).has(verdictWarning, "lease", "held it, and has died", "start a daemon")
	})
}

// everything is what the database and the streams hold, but for what a daemon renews by itself.
func (w *world) everything() string {
	var b strings.Builder
	for _, table := range []string{"watched_users", "user_states", "held_changes", "transitions", "snapshots", "relay_cursors", "poller_migrations"} {
		var text string
		err := w.pool.QueryRow(context.Background(), `select count(*)::text || ' ' || coalesce(md5(string_agg(t::text, '' order by t::text)), '') from `+table+` t`).Scan(&text)
		fmt.Fprintln(&b, table, text, err)
	}
	var app string
	err := w.pool.QueryRow(context.Background(), `select app_id::text || ' ' || owner || ' ' || epoch || ' ' || last_seq || ' ' || last_sweep from apps`).Scan(&app)
	fmt.Fprintln(&b, app, err)
	for info := range w.js.ListStreams(context.Background()).Info() {
		config, err := json.Marshal(info.Config)
		fmt.Fprintln(&b, string(config), info.State.LastSeq, info.State.Msgs, info.State.LastTime, err)
	}
	return b.String()
}

// Two at once keep the budget: one at a time has the lease, and the next waits for what it has spent.
func TestDoctorTwice(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "POLLER_ZIM_RATE=1")
	began := time.Now()
	results := make([]*examined, 3)
	trials := make([]func(), len(results))
	for i := range results {
		trials[i] = func() { results[i] = w.doctor(0, nil) }
	}
	abreast(trials...)
	sent := 0
	for _, r := range results {
		if r.has(verdictOK, "query") {
			sent++
		} else {
			r.wants(verdictUntried, "query")
		}
	}
	stats := w.zim.Stats()
	if sent < 1 || stats.Arrivals != uint64(sent) || stats.MostPerSecond > 1 {
		t.Errorf("%d say that they asked; %d requests arrived, %d of them in one second, within %s", sent, stats.Arrivals, stats.MostPerSecond, time.Since(began))
	}
}

// Asked to stop it says nothing, and gives the lease back.
func TestDoctorInterrupted(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if err := w.sim.AddFaults(zimsim.Fault{Kind: zimsim.Hang}); err != nil {
		t.Fatal(err)
	}
	p := w.start("doctor")
	w.until("ZIM is asked", func() bool { return w.zim.Stats().Arrivals == 1 })
	if err := p.cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if code := p.ended(); code != 1 || p.out.Len() > 0 || !strings.Contains(p.said(), "interrupted") {
		t.Errorf("exit code %d, %s%s", code, p.out.String(), p.said())
	}
	if n := w.count(`select count(*) from apps where owner is null and budget_free_at > now() - interval '1 minute'`); n != 1 {
		t.Error("the lease was not given back with the time when the budget is free")
	}
}
