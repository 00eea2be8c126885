package main

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/zim-presence/poller/internal/local/localtest"
	"github.com/zim-presence/poller/internal/stream"
	"github.com/zim-presence/poller/presence"
	following "github.com/zim-presence/poller/presence/follow"
)

// connectAs is a connection that keeps what the server says against it.
func connectAs(t *testing.T, server *localtest.ConfiguredNATS, user string) jetstream.JetStream {
	t.Helper()
	nc, err := nats.Connect("nats://"+user+":secret@"+server.Addr(), nats.MaxReconnects(-1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	return js
}

// refusedInNATS reads as a subscriber does, and tries what one must not, and what the poller itself need not.
func (w *world) refusedInNATS(reader, poller jetstream.JetStream) {
	t := w.t.(*testing.T)
	app := strconv.Itoa(worldApp)
	event, bucket, control := "PRESENCE_"+app, "KV_presence_"+app, "PRESENCE_CONTROL_"+app
	before := w.state(reader, event) + w.state(reader, bucket)
	w.readsAll(reader)
	subjects := []string{
		"$JS.API.STREAM.DELETE." + event, "$JS.API.STREAM.PURGE." + event, "$JS.API.STREAM.UPDATE." + event, "$JS.API.STREAM.MSG.DELETE." + event,
		"$JS.API.STREAM.DELETE." + bucket, "$JS.API.STREAM.UPDATE." + bucket, "$JS.API.STREAM.MSG.DELETE." + bucket,
		"$JS.API.STREAM.SNAPSHOT." + event, "$JS.API.STREAM.RESTORE." + event, "$JS.API.STREAM.CREATE.OTHER", "$JS.API.STREAM.LIST",
		"$JS.API.CONSUMER.DELETE." + event + ".x", "$JS.API.CONSUMER.LIST." + event, "$KV.presence_" + app + ".alice", "presence.v1.1.online.alice",
		presence.ControlSubject(worldApp, presence.ErasedWord), presence.ControlSubject(1, presence.SweepWord), "$JS.API.STREAM.DELETE." + control,
		"$JS.API.STREAM.PURGE." + control, "$JS.API.STREAM.UPDATE." + control, "$JS.API.STREAM.MSG.DELETE." + control,
	}
	for user, js := range map[string]jetstream.JetStream{"reader": reader, "poller": poller} {
		tries := subjects
		if user == "reader" {
			tries = append([]string{
				presence.Subject(worldApp, presence.KindOnline, "mallory"), "$JS.API.STREAM.CREATE." + event, "$JS.API.STREAM.PURGE." + bucket,
				presence.ControlSubject(worldApp, presence.SweepWord), presence.ControlSubject(worldApp, presence.LeaseWord), "$JS.API.STREAM.CREATE." + control,
			}, subjects...)
		}
		for _, subject := range tries {
			w.denied(user, js.Conn(), subject)
		}
	}
	// A consumer may deliver where its maker has no right to publish; not into the stream.
	deliver := presence.Subject(worldApp, presence.KindOnline, "mallory")
	for _, stream := range []string{event, bucket} {
		_, _ = reader.Conn().Request("$JS.API.CONSUMER.CREATE."+stream+".spy",
			[]byte(`{"stream_name":"`+stream+`","config":{"name":"spy","deliver_subject":"`+deliver+`","ack_policy":"none"}}`), 5*time.Second)
	}
	if after := w.state(reader, event) + w.state(reader, bucket); after != before {
		t.Errorf("the streams stood at %s, and now at %s", before, after)
	}
}

// handsOn wants that a standby may hand hints on.
func (w *world) handsOn(poller *nats.Conn) {
	w.t.Helper()
	err := stream.HandHintOn(poller, worldApp, "alice", true)
	if err = errors.Join(err, poller.Flush(), poller.LastError()); err != nil {
		w.t.Errorf("hand a hint on: %v", err)
	}
}

// mends makes what the red checks name as the mend, as the user who may.
func (w *world) mends(admin, operator jetstream.JetStream) {
	w.t.Helper()
	ctx, app := context.Background(), strconv.Itoa(worldApp)
	ack, err := admin.Publish(ctx, presence.Subject(worldApp, presence.KindOnline, "mallory"), []byte("{}"))
	if err != nil {
		w.t.Fatal(err)
	}
	events, err := operator.Stream(ctx, "PRESENCE_"+app)
	if err != nil {
		w.t.Fatal(err)
	}
	if err := events.DeleteMsg(ctx, ack.Sequence); err != nil {
		w.t.Errorf("nats stream rmm: %v", err)
	}
	edited := events.CachedInfo().Config
	edited.MaxAge -= time.Hour
	if _, err := operator.UpdateStream(ctx, edited); err != nil {
		w.t.Errorf("nats stream edit: %v", err)
	}
	control, err := operator.Stream(ctx, "PRESENCE_CONTROL_"+app)
	if err != nil {
		w.t.Fatal(err)
	}
	beside := control.CachedInfo().Config
	beside.MaxAge = edited.MaxAge
	if _, err := operator.UpdateStream(ctx, beside); err != nil {
		w.t.Errorf("nats stream edit of the control stream: %v", err)
	}
	bucket, err := operator.Stream(ctx, "KV_presence_"+app)
	if err != nil {
		w.t.Fatal(err)
	}
	if err := bucket.Purge(ctx, jetstream.WithPurgeSubject("$KV.presence_"+app+".mallory")); err != nil {
		w.t.Errorf("nats stream purge: %v", err)
	}
	if err := operator.DeleteKeyValue(ctx, "presence_"+app); err != nil {
		w.t.Errorf("nats kv del: %v", err)
	}
	for _, subject := range []string{presence.Subject(worldApp, presence.KindOnline, "mallory"), "$KV.presence_" + app + ".mallory", "$JS.API.STREAM.DELETE.OTHER", "$JS.API.STREAM.DELETE.PRESENCE_CONTROL_" + app} {
		w.denied("operator", operator.Conn(), subject)
	}
}

// denied publishes and waits for the server's refusal.
func (w *world) denied(user string, nc *nats.Conn, subject string) {
	w.t.Helper()
	if err := nc.Publish(subject, []byte("{}")); err != nil {
		w.t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		w.t.Fatal(err)
	}
	if err := nc.LastError(); err == nil || !strings.Contains(err.Error(), `"`+subject+`"`) {
		w.t.Errorf("%s publishes on %s: %v, want a refusal", user, subject, err)
	}
}

// follows reads with package follow to the end of the state, and on behind it.
func (w *world) follows(js jetstream.JetStream, cfg following.Config) {
	w.t.Helper()
	follower, err := following.New(js, cfg)
	if err != nil {
		w.t.Fatal(err)
	}
	running, stop := context.WithTimeout(context.Background(), patience)
	defer stop()
	err = follower.Run(running, func(_ context.Context, item following.Item) error {
		if item.What == following.Current {
			time.AfterFunc(time.Second, stop) // outages count, until then
		}
		return nil
	})
	if got := follower.Stats(); !errors.Is(err, context.Canceled) || got.States == 0 || got.Outages > 0 {
		w.t.Errorf("package follow: %v, %+v", err, got)
	}
}

func (w *world) state(js jetstream.JetStream, stream string) string {
	w.t.Helper()
	s, err := js.Stream(context.Background(), stream)
	if err != nil {
		w.t.Fatal(err)
	}
	state := s.CachedInfo().State
	return strconv.FormatUint(state.Msgs, 10) + " up to " + strconv.FormatUint(state.LastSeq, 10) + ";"
}

// readsAll reads in the ways that the manual and the clients know: the stream with a consumer that acknowledges, the
// bucket as a stream, as a bucket, and watched.
func (w *world) readsAll(js jetstream.JetStream) {
	w.t.Helper()
	ctx, app := context.Background(), strconv.Itoa(worldApp)
	durable, err := js.CreateOrUpdateConsumer(ctx, "PRESENCE_"+app, jetstream.ConsumerConfig{Durable: "billing", FilterSubject: "presence.v1." + app + ".offline.*"})
	if err != nil {
		w.t.Fatal(err)
	}
	msg, err := durable.Next()
	if err == nil {
		err = msg.DoubleAck(ctx)
	}
	if err != nil {
		w.t.Errorf("a consumer that acknowledges: %v", err)
	}
	w.follows(js, following.Config{App: worldApp})
	w.follows(js, following.Config{App: worldApp, Durable: "follows", TellErased: true})
	bucket, err := js.OrderedConsumer(ctx, "KV_presence_"+app, jetstream.OrderedConsumerConfig{})
	if err == nil {
		msg, err = bucket.Next()
	}
	if err != nil || !strings.HasPrefix(msg.Headers().Get("Nats-Stream-Source"), "PRESENCE_"+app+" ") {
		w.t.Errorf("the bucket as a stream: %v, %v", msg, err)
	}
	kv, err := js.KeyValue(ctx, "presence_"+app)
	if err != nil {
		w.t.Fatal(err)
	}
	watch, err := kv.WatchAll(ctx)
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = watch.Stop() }()
	select {
	case entry := <-watch.Updates():
		if _, err := kv.Get(ctx, entry.Key()); err != nil {
			w.t.Errorf("the bucket's key %s: %v", entry.Key(), err)
		}
	case <-time.After(patience):
		w.t.Error("the bucket cannot be watched")
	}
}
