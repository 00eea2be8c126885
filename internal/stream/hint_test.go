package stream

import (
	"testing"

	"github.com/zim-presence/poller/internal/local/localtest"
)

// A hint that is handed on is heard by whoever listens for its app, and by nobody else;
// what is no hint is passed over.
func TestHintIsHandedOn(t *testing.T) {
	server := localtest.NATS(t)
	from, to := dial(t, Options{URL: server.URL()}), dial(t, Options{URL: server.URL()})
	heard := make(chan string, 10)
	stop, err := HearHints(to, testApp, func(user string, online bool) {
		if online {
			user += " came"
		}
		heard <- user
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := to.Flush(); err != nil {
		t.Fatal(err)
	}
	for _, junk := range []string{"", "{", "[]", `{"online":true}`} {
		if err := from.Publish(hintSubject(testApp), []byte(junk)); err != nil {
			t.Fatal(err)
		}
	}
	for app, user := range map[uint32]string{testApp + 1: "not ours"} {
		if err := HandHintOn(from, app, user, true); err != nil {
			t.Fatal(err)
		}
	}
	for _, online := range []bool{true, false} {
		if err := HandHintOn(from, testApp, `a"b`, online); err != nil {
			t.Fatal(err)
		}
	}
	if first, second := <-heard, <-heard; first != `a"b came` || second != `a"b` || len(heard) > 0 {
		t.Errorf("heard %q and %q, and %d more", first, second, len(heard))
	}
	stop()
	if n := to.NumSubscriptions(); n != 0 {
		t.Errorf("%d subscriptions are left", n)
	}
	from.Close()
	if err := HandHintOn(from, testApp, "a", true); err == nil {
		t.Error("a hint is handed on without a connection")
	}
}
