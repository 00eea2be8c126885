package main

import (
	"strconv"
	"strings"
	"testing"

	"github.com/zim-presence/poller/internal/local/localtest"
)

// erasesAs erases a user with the permissions that the manual gives for it, and with no more; with the daemon's it is
// refused before anything is changed.
func (w *world) erasesAs(owner, daemon string, server *localtest.ConfiguredNATS, user string) {
	t := w.t.(*testing.T)
	env := w.env
	defer func() { w.env = env }()
	w.env = append(w.env, "POLLER_DATABASE_URL="+daemon)
	for _, args := range [][]string{{"--dry-run"}, {"--yes"}} {
		if _, p := w.forget(user, 1, args...); !strings.Contains(p.said(), "update on transitions") || !strings.Contains(p.said(), "the role that owns the tables") {
			t.Errorf("poller forget %v as the daemon's role does not name the remedy: %s", args, p.said())
		}
	}
	w.env = append(w.env, "POLLER_DATABASE_URL="+owner, "POLLER_NATS_URL=nats://eraser:secret@"+server.Addr())
	report, p := w.forget(user, 0, "--yes")
	if report.Told == 0 || report.ErasedAt == nil || strings.Contains(p.said(), "ermission") {
		t.Errorf("forgotten: %+v, %s", report, p.said())
	}
	w.traceless(user)
	w.auditErased()
	app := strconv.Itoa(worldApp)
	eraser := connectAs(t, server, "eraser").Conn()
	for _, subject := range []string{
		"$JS.API.STREAM.DELETE.PRESENCE_" + app, "$JS.API.STREAM.UPDATE.PRESENCE_" + app, "$JS.API.STREAM.PURGE.PRESENCE_" + app,
		"$JS.API.STREAM.DELETE.KV_presence_" + app, "$JS.API.STREAM.MSG.DELETE.PRESENCE_CONTROL_" + app, "$KV.presence_" + app + ".alice",
		"$JS.API.STREAM.CREATE.OTHER", "$JS.API.CONSUMER.CREATE.PRESENCE_" + app + ".x",
	} {
		w.denied("eraser", eraser, subject)
	}
}
