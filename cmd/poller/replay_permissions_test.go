package main

import (
	"strconv"
	"strings"
	"testing"

	"github.com/zim-presence/poller/internal/local/localtest"
	"github.com/zim-presence/poller/presence"
)

// replaysAs replays with the permissions that the manual gives for it, and tries what they must not allow.
func (w *world) replaysAs(db *localtest.TCPPostgres, server *localtest.ConfiguredNATS) {
	t := w.t.(*testing.T)
	within := *w
	within.env = append(append([]string{}, w.env...),
		"POLLER_DATABASE_URL="+as(db, "replayer", "presence"), "POLLER_NATS_URL=nats://replayer:secret@"+server.Addr())
	last := w.count(`select last_seq from apps`)
	for _, args := range []string{
		"--dry-run", "--name stored --with-state --from 3", "--name gone --core", "--name net --snapshots --with-state", "list -o json", "drop net",
	} {
		p := within.start(append([]string{"replay"}, strings.Fields(args)...)...)
		if code := p.ended(); code != 0 || strings.Contains(p.said(), "ermission") {
			t.Errorf("poller replay %s as replayer: exit code %d\n%s", args, code, p.said())
		}
	}
	if got, want := len(w.replayed("stored")), last; got != want { // two states in place of two events
		t.Errorf("%d messages, want %d", got, want)
	}
	for _, statement := range []string{
		"delete from transitions", "insert into transitions default values", "update transitions set seq = 0", "update apps set epoch = 0", "delete from snapshots",
		"update user_states set status = 'online'", "select from watched_users", "delete from relay_cursors", "delete from erasures", "select ensure_partitions(1)",
	} {
		refused(t, as(db, "replayer", "presence"), statement)
	}
	app := strconv.Itoa(worldApp)
	nc := connectAs(t, server, "replayer").Conn()
	for _, subject := range []string{
		presence.Subject(worldApp, presence.KindOnline, "mallory"), presence.ControlSubject(worldApp, "erased"), "$KV.presence_" + app + ".alice",
		presence.ReplaySubject("stored", 7, "online", "alice"), "$JS.API.STREAM.DELETE.PRESENCE_" + app, "$JS.API.STREAM.UPDATE.PRESENCE_REPLAY_" + app + "_stored",
		"$JS.API.STREAM.MSG.DELETE.PRESENCE_" + app, "$JS.API.STREAM.PURGE.KV_presence_" + app, "$JS.API.STREAM.DELETE.PRESENCE_CONTROL_" + app,
		"$JS.API.CONSUMER.CREATE.PRESENCE_" + app + ".x",
	} {
		w.denied("replayer", nc, subject)
	}
	// The poller's own user may not replay.
	within.env = append(within.env, "POLLER_NATS_URL=nats://poller:secret@"+server.Addr())
	p := within.start("replay", "--name", "refused")
	if code := p.ended(); code != 1 || !strings.Contains(p.said(), "not permitted") {
		t.Errorf("poller replay as the daemon's user: exit code %d\n%s", code, p.said())
	}
}
