package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// runbook is where whoever is called at night reads what to do.
const runbook = "../../docs/operations.md"

// drill is somebody who was called by an alert and follows its entry in the runbook.
// Commands are run in a shell, as they are printed there.
type drill struct {
	*theatre
	prometheus *prometheus
	red        readyCheck // what was red
	book       string     // the runbook
	entries    []string   // of the alerts, in it
}

func (s *theatre) newDrill(m mishap, p *prometheus, red readyCheck) *drill {
	s.t.Helper()
	text, err := os.ReadFile(runbook)
	if err != nil {
		s.t.Fatal(err)
	}
	d := &drill{theatre: s, prometheus: p, red: red, book: string(text)}
	for _, alert := range m.alerts {
		_, entry, found := strings.Cut(d.book, "\n### "+alert+"\n")
		if !found {
			s.t.Errorf("%s has no entry %s", runbook, alert)
		}
		entry, _, _ = strings.Cut(entry, "\n### ")
		d.entries = append(d.entries, entry)
	}
	return d
}

// sh runs a command of the runbook, and wants each of these words in what it prints.
func (d *drill) sh(command string, want ...string) (out string) {
	d.t.Helper()
	if !strings.Contains(d.book, command) {
		d.t.Errorf("%s does not have the command: %s", runbook, command)
	}
	if ofApp.MatchString(command) && !strings.Contains(command, "--app") {
		command += " --app 1234567890" // as the runbook says, where there are several
	}
	return d.shell(command, want...)
}

var ofApp = regexp.MustCompile(`^poller (watch|verify|plan|explain|adopt)\b`)

// quoted wants this in the runbook.
func (d *drill) quoted(text string) {
	d.t.Helper()
	if !strings.Contains(d.book, text) {
		d.t.Errorf("%s does not have: %s", runbook, text)
	}
}

// block returns the runbook's block that begins with this line, of another app.
func (d *drill) block(line, app string) string {
	d.t.Helper()
	d.quoted(line)
	_, rest, _ := strings.Cut(d.book, line)
	rest, _, _ = strings.Cut(rest, "```")
	return strings.ReplaceAll(line+rest, "1234567890", app)
}

// sql runs a query of the runbook.
func (d *drill) sql(query string, want ...string) {
	d.t.Helper()
	if !strings.Contains(d.book, query) {
		d.t.Errorf("%s does not have the query: %s", runbook, query)
	}
	d.shell(`psql "$POLLER_DATABASE_URL" -c "`+query+`"`, want...)
}

var command = regexp.MustCompile(`(?:poller|nats) [a-z][^;,\n]*`)

// mend runs the command in the mend of the red check.
func (d *drill) mend(want ...string) {
	d.t.Helper()
	text := command.FindString(d.red.Mend)
	if text == "" {
		d.t.Fatalf("%s: no command in the mend %q", d.red.Name, d.red.Mend)
	}
	if strings.HasPrefix(text, "nats ") {
		text += " -f" // as the runbook says, for who does not want to be asked
	}
	d.shell(text, want...)
}

// shell runs a line with the program in its path, and everything that is an example in
// the docs set to what is here.
func (d *drill) shell(line string, want ...string) string {
	d.t.Helper()
	cmd := d.inHere("bash", "-c", line)
	out, err := cmd.CombinedOutput()
	for _, words := range want {
		if !strings.Contains(string(out), words) {
			d.t.Errorf("%s: got (%v)\n%s\nwant %q in it", line, err, out, words)
		}
	}
	d.t.Logf("$ %s  (%v)\n%s", line, err, out)
	return string(out)
}

// inHere is a command that is run where the program is, what is an example in the docs set.
func (d *drill) inHere(name string, args ...string) *exec.Cmd {
	example := strings.NewReplacer("1234567890", fmt.Sprint(d.appID), "http://127.0.0.1:8080", d.base)
	for i := range args {
		args[i] = example.Replace(args[i])
	}
	cmd := exec.Command(name, args...)
	cmd.Dir, cmd.Env = d.bin, append(without(d.env, "PATH="), "PATH="+d.bin+":"+os.Getenv("PATH"), "NATS_URL="+d.nats.URL())
	return cmd
}

// program puts the program that is tested into a directory of commands, under its name.
func program(t testing.TB) (dir string) {
	t.Helper()
	dir = t.TempDir()
	text := "#!/bin/sh\nPOLLER_TEST_MAIN=1 GORACE=atexit_sleep_ms=0 exec '" + os.Args[0] + "' \"$@\"\n"
	if err := os.WriteFile(filepath.Join(dir, "poller"), []byte(text), 0o700); err != nil { //nolint:gosec // it is to be run
		t.Fatal(err)
	}
	return dir
}

// logs waits until the daemon has logged this since it was started.
func (d *drill) logs(message string) {
	d.t.Helper()
	d.until("the log says "+message, func() bool { return d.daemon.logged(message) > 0 })
}

var metricName = regexp.MustCompile(`(?:poller|app:poller)_[a-z_:]+`)

// ends waits until what the entry has under "Over when" is so, the alert is gone, and
// all that was recorded is told and agrees.
func (d *drill) ends(m mishap) {
	d.t.Helper()
	for _, expression := range m.until {
		for _, name := range metricName.FindAllString(expression, -1) {
			if !strings.Contains(strings.Join(d.entries, "\n"), name) {
				d.t.Errorf("the entries of %v do not name %s", m.alerts, name)
			}
		}
		d.until("it is over: "+expression, func() bool { return d.prometheus.holds(expression) })
	}
	d.until("the alerts are over", func() bool { return !d.prometheus.active(m.alerts) })
	d.until("all is told", func() bool { return d.prometheus.holds("sum(poller_lag_events) == 0") })
	d.sh("poller verify", "all agree")
}

// night follows the entry to its end.
func (s *theatre) night(m mishap, p *prometheus, red readyCheck) {
	s.t.Helper()
	d := s.newDrill(m, p, red)
	if !m.ends {
		d.sh("curl -s http://127.0.0.1:8080/readyz", red.Name, m.mend)
		s.picture(m)
	}
	if m.doctor != "" || m.check == "" {
		d.sh("poller doctor", m.doctor)
	}
	if m.look != nil {
		m.look(d)
	}
	if m.by != nil {
		m.by(d)
	} else {
		m.over(s)
	}
	d.ends(m)
}
