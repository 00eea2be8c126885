package main

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/zim-presence/poller/internal/page"
	"github.com/zim-presence/poller/internal/stream"
	"github.com/zim-presence/poller/internal/zimsim"
	"github.com/zim-presence/poller/presence"
)

// nobodyIsNamed looks for ids wherever a browser can.
func (w *world) nobodyIsNamed(t *testing.T, s site) {
	told := make(chan page.Told, 1000)
	ctx, leave := context.WithCancel(t.Context())
	ended := s.follow(ctx, "", func(e page.Told) { told <- e })
	w.set(map[string]zimsim.State{"person-20": zimsim.Online})
	select {
	case e := <-told:
		if !strings.HasPrefix(e.User, "user-") || strings.Contains(e.User, "20") && strings.Contains(e.User, "person") {
			t.Errorf("heard %+v", e)
		}
	case <-time.After(patience):
		t.Error("nothing was told")
	}
	leave()
	<-ended
	user := fmt.Sprintf("?app=%d&user=person-20", w.appID)
	for path, want := range map[string]int{"/api/board": 200, "/api/user" + user: 403} {
		status, body := s.get(path, nil)
		if status != want || strings.Contains(body, "person-") {
			t.Errorf("%s = %d %s, want %d", path, status, body, want)
		}
	}
	out, code := w.run("explain", "-o", "json", "--from", s.addr, "person-20")
	if code != 0 || !strings.Contains(out, "http.hide_user_ids") || !strings.Contains(out, `"status": "online"`) {
		t.Errorf("poller explain beside it: %d %s", code, out)
	}
	w.troubleNamesNobody(t, s)
}

// troubleNamesNobody has a check be red of which the error names a user.
func (w *world) troubleNamesNobody(t *testing.T, s site) {
	ack, err := w.js.Publish(t.Context(), presence.Subject(w.appID, presence.KindOnline, "person-20"), []byte("{}"))
	if err != nil {
		t.Fatal(err)
	}
	w.until("a red check, and what to do", func() bool {
		_, body := s.get("/readyz", nil)
		if strings.Contains(body, "person-") {
			t.Fatalf("/readyz = %s", body)
		}
		return strings.Contains(body, "somebody else writes to the stream") && strings.Contains(body, fmt.Sprintf("nats stream rmm PRESENCE_%d %d", w.appID, ack.Sequence))
	})
	if _, body := s.get("/api/board", nil); strings.Contains(body, "person-") {
		t.Errorf("/api/board = %s", body)
	}
	events, err := w.js.Stream(t.Context(), stream.EventStreamName(w.appID))
	if err == nil {
		err = events.DeleteMsg(t.Context(), ack.Sequence)
	}
	if err != nil {
		t.Fatal(err)
	}
}
