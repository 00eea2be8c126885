package stream

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"

	"github.com/zim-presence/poller/internal/local/localtest"
)

// reach connects once, as a user where one is named.
func reach(t *testing.T, url string) *Reached {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	r, err := Reach(ctx, Options{URL: url, Name: "doctor", Log: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	closed := make(chan struct{})
	r.SetClosedHandler(func(*nats.Conn) { close(closed) })
	t.Cleanup(func() { r.Close(); <-closed })
	return r
}

// What a user may not do is found out without doing it: each right that is taken away is missed, and no other; and a
// user who may do all has changed nothing, whatever stands there.
func TestRightsAreFoundOut(t *testing.T) {
	server := localtest.NATSConfigured(t, "")
	admin := jetStream(t, dial(t, Options{URL: "nats://" + server.Addr(), Name: "admin", Log: zerolog.Nop()}))
	heard, err := admin.Conn().SubscribeSync("presence.>")
	if err != nil {
		t.Fatal(err)
	}
	s := open(t, reach(t, "nats://"+server.Addr()).Conn, Config{AppID: testApp})
	mayAll := func() {
		t.Helper()
		before := streams(t, admin)
		r := reach(t, "nats://"+server.Addr())
		may := open(t, r.Conn, Config{AppID: testApp})
		if denied, err := may.MayNot(t.Context(), r); err != nil || len(denied) > 0 {
			t.Errorf("a user who may do all: %q, %v", denied, err)
		}
		if after := streams(t, admin); after != before {
			t.Errorf("there was\n%s\nand is now\n%s", before, after)
		}
	}
	mayAll() // without streams
	ensure(t, s)
	if _, err := s.EnsureControl(t.Context()); err != nil {
		t.Fatal(err)
	}
	appendAll(t, s, story(1, 3))
	eventually(t, "the bucket follows", func() bool {
		bucket, err := s.LookBucket(t.Context())
		return err == nil && bucket.Messages == 3 && bucket.Lag == 0
	})
	mayAll()
	// What a plain subscription sees is of a kind that it does not know, and empty; but for the three events.
	for n := 0; ; {
		msg, err := heard.NextMsg(time.Second)
		if errors.Is(err, nats.ErrTimeout) {
			if n != 2 {
				t.Errorf("%d messages were seen that are no events, want 2", n)
			}
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(msg.Subject, ".doctor.doctor") && len(msg.Data) == 0 {
			n++
		} else if msg.Header.Get("Nats-Msg-Id") == "" {
			t.Errorf("a plain subscription sees %s %q", msg.Subject, msg.Data)
		}
	}
	var lines []string
	probes := append(s.probes(), probe{subject: s.eventProbe().Subject})
	for i := range probes {
		var may []string
		for j, p := range probes {
			if i != j {
				may = append(may, `"`+p.subject+`"`)
			}
		}
		lines = append(lines, `{ user: u`+string(rune('a'+i))+`, password: secret, permissions: { publish: [`+strings.Join(may, ", ")+`], subscribe: ["_INBOX.>"] } }`)
	}
	server.Start("authorization { users: [" + strings.Join(append(lines, `{ user: deaf, password: secret, permissions: { subscribe: ["x"] } }`), ",\n") + "] }")
	for i, p := range probes {
		r := reach(t, "nats://u"+string(rune('a'+i))+":secret@"+server.Addr())
		denied, err := open(t, r.Conn, Config{AppID: testApp}).MayNot(t.Context(), r)
		if err != nil || !slices.Equal(denied, []string{p.subject}) {
			t.Errorf("who may not publish on %s: %q, %v", p.subject, denied, err)
		}
		if _, err := r.Account(t.Context()); !errors.Is(err, ErrDenied) {
			t.Errorf("account of one who may not ask: %v", err)
		}
	}
	deaf := reach(t, "nats://deaf:secret@"+server.Addr())
	if denied, _ := open(t, deaf.Conn, Config{AppID: testApp}).MayNot(t.Context(), deaf); !slices.Equal(denied, []string{"_INBOX.>"}) {
		t.Errorf("who can hear no answer: %q", denied)
	}
}

// streams is how all streams stand.
func streams(t *testing.T, js jetstream.JetStream) string {
	t.Helper()
	var b strings.Builder
	for info := range js.ListStreams(t.Context()).Info() {
		info.TimeStamp, info.Cluster = time.Time{}, nil
		for _, source := range info.Sources {
			source.Active = 0
		}
		text, err := json.Marshal(info)
		if err != nil {
			t.Fatal(err)
		}
		b.Write(text)
	}
	return b.String()
}

// How the streams stand is told without making what is missing.
func TestStandings(t *testing.T) {
	b := newBench(t)
	looks := map[string]func(context.Context) (Standing, error){"PRESENCE_1234567890": b.s.LookEvents, "KV_presence_1234567890": b.s.LookBucket, "PRESENCE_CONTROL_1234567890": b.s.LookControl}
	for name, look := range looks {
		if s, err := look(t.Context()); err != nil || !s.Missing || s.Name != name || len(s.Differences) > 0 {
			t.Errorf("%s: %+v, %v", name, s, err)
		}
	}
	ensure(t, b.s)
	if _, err := b.s.EnsureControl(t.Context()); err != nil {
		t.Fatal(err)
	}
	for name, look := range looks {
		if s, err := look(t.Context()); err != nil || s.Missing || len(s.Differences)+len(s.Notes) > 0 || s.Replicas != 1 || s.At.IsZero() {
			t.Errorf("%s: %+v, %v", name, s, err)
		}
	}
	a, err := reach(t, b.server.URL()).Account(t.Context())
	if err != nil || a.Streams != 3 || a.MaxStreams != 0 || a.MaxStore != 0 {
		t.Errorf("account: %+v, %v", a, err)
	}
}

// A server without JetStream is one, for all and for an account.
func TestAccountWithoutJetStream(t *testing.T) {
	server := localtest.NATSConfigured(t, `accounts { A { users: [ { user: a, password: secret } ] }, B { jetstream: { max_streams: 1 }, users: [ { user: b, password: secret } ] } }`)
	var none *NoJetStreamError
	if _, err := reach(t, "nats://a:secret@"+server.Addr()).Account(t.Context()); !errors.As(err, &none) {
		t.Errorf("an account without JetStream: %v", err)
	}
	if a, err := reach(t, "nats://b:secret@"+server.Addr()).Account(t.Context()); err != nil || a.MaxStreams != 1 {
		t.Errorf("an account of one stream: %+v, %v", a, err)
	}
}
