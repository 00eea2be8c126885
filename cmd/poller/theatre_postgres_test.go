package main

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
)

// as has the daemon, and who follows the runbook, use another role of Postgres.
func (s *theatre) as(role string) {
	for i, v := range s.env {
		if strings.HasPrefix(v, "POLLER_DATABASE_URL=") {
			s.env[i] = regexp.MustCompile(`//\w+@`).ReplaceAllString(v, "//"+role+"@")
		}
	}
}

// asClerk has the daemon run with a role that may do what the manual grants to it, and
// no more, until the row is over.
func (s *theatre) asClerk() {
	s.t.Helper()
	manual, err := os.ReadFile(runbook)
	if err != nil {
		s.t.Fatal(err)
	}
	s.exec(`create role clerk login`)
	s.exec(`grant connect on database poller to clerk`)
	for _, grant := range regexp.MustCompile(`(?m)^(grant .*) to poller;$`).FindAllStringSubmatch(string(manual), -1) {
		if !strings.Contains(grant[1], "database") {
			s.exec(grant[1] + " to clerk")
		}
	}
	s.t.Cleanup(func() { s.as("poller"); s.restart() })
	s.as("clerk")
	s.restart()
}

// restart starts the daemon again.
func (s *theatre) restart() {
	s.t.Helper()
	s.daemon.stop()
	s.startDaemon()
}

// stranger has another daemon hold the leases, which nobody scrapes.
func (s *theatre) stranger() {
	s.t.Helper()
	s.daemon.stop()
	row, own := s.world.t, s.env
	s.world.t = s.whole
	s.env = append(without(own, "POLLER_HTTP_LISTEN="), "POLLER_HTTP_LISTEN=")
	s.second = s.start("run")
	s.world.t, s.env = row, own
	s.until("the other one polls", func() bool {
		return s.count(`select count(*) from apps where expires_at > clock_timestamp() and owner like $1`, fmt.Sprintf("%%:%d:%%", s.second.cmd.Process.Pid)) == 2
	})
	s.startDaemon()
}

// smallDisk puts today's part of the ledger on a disk of a megabyte, and fills it. It is
// put back when the row is over.
func (s *theatre) smallDisk() {
	s.t.Helper()
	data, part := s.text(`show data_directory`), s.text(fmt.Sprintf(`select tableoid::regclass::text from transitions where app_id = %d order by recorded_at desc limit 1`, uint32(worldApp)))
	disk := filepath.Join(filepath.Dir(data), "small")
	s.command("mkdir", disk)
	s.command("mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", disk)
	s.command("chown", "--reference", data, disk)
	s.exec(`create tablespace small location '` + disk + `'`)
	s.exec(`alter table ` + part + ` set tablespace small`)
	s.exec(`create table filler (x text) tablespace small`)
	s.exec(`alter table filler alter x set storage external`)
	s.t.Cleanup(func() {
		s.exec(`drop table filler`)
		s.exec(`alter table ` + part + ` set tablespace pg_default`)
		s.exec(`drop tablespace small`)
		s.command("umount", disk)
	})
	for size := 64_000; size > 1000; {
		if _, err := s.pool.Exec(context.Background(), `insert into filler values (repeat('x', $1))`, size); err != nil {
			size /= 2
		}
	}
}

// largerDisk makes that disk larger.
func (s *theatre) largerDisk() {
	s.command("mount", "-o", "remount,size=64m", filepath.Join(filepath.Dir(s.text(`show data_directory`)), "small"))
}

func (s *theatre) text(sql string) (text string) {
	s.t.Helper()
	if err := s.pool.QueryRow(context.Background(), sql).Scan(&text); err != nil {
		s.t.Fatalf("%s: %v", sql, err)
	}
	return text
}

func (s *theatre) command(name string, args ...string) {
	s.t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		s.t.Fatalf("%s %v, as root: %v\n%s", name, args, err, out)
	}
}

// restoreOlder dumps the database, has users come and go, and restores the dump, as the
// manual has it.
func (s *theatre) restoreOlder() {
	s.t.Helper()
	d := s.newDrill(mishap{}, nil, readyCheck{})
	at, err := url.Parse(s.dsn)
	if err != nil {
		s.t.Fatal(err)
	}
	as := fmt.Sprintf("PGUSER=%s PGHOST=%s PGPORT=%s ", at.User.Username(), at.Query().Get("host"), at.Query().Get("port"))
	line := func(command string) {
		d.quoted(command)
		out, err := d.inHere("bash", "-c", as+strings.NewReplacer("presence ", "poller ", " presence", " poller").Replace(command+" ")).CombinedOutput()
		if s.t.Logf("$ %s\n%s", command, out); err != nil {
			s.t.Errorf("%s: %v\n%s", command, err, out)
		}
	}
	line("pg_dump --format custom --file presence.dump presence")
	s.flip()
	s.untilTold()
	s.daemon.stop()
	s.exec(`create role poller_owner`)
	s.pool.Reset()
	line("psql --dbname postgres --command 'alter database presence rename to presence_before'")
	line("createdb -O poller_owner presence")
	line("pg_restore --exit-on-error --dbname presence presence.dump")
	s.launch()
}
