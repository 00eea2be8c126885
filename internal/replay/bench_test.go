package replay_test

import (
	"testing"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"

	"github.com/zim-presence/poller/internal/ledger"
	"github.com/zim-presence/poller/internal/local"
	"github.com/zim-presence/poller/internal/stream"
	"github.com/zim-presence/poller/presence"
)

// target is how many events a second a replay from the ledger into its stream has
// to tell, on 2 cores that Postgres and the server share with it.
const target = 50_000

// BenchmarkReplay prints the figure beside the target. The server syncs its files
// by default every two minutes, or always, as the embedded one does.
func BenchmarkReplay(b *testing.B) {
	const events = 200_000
	h := newHouse(b, events, 50_000)
	all := choice{name: "speed", first: 1, last: events}
	core, kind := all, all
	core.core = true
	kind.Choice = ledger.Choice{Kinds: []presence.Kind{presence.KindOnline}} // a half of those behind the baselines
	b.Run("default", func(b *testing.B) { h.speed(b, all, events) })
	b.Run("kind", func(b *testing.B) { h.speed(b, kind, 0) })
	b.Run("core", func(b *testing.B) { h.speed(b, core, events) })
	server, err := local.OpenNATS(b.Context(), local.NATS{Dir: b.TempDir(), Log: zerolog.Nop()})
	h.must(err)
	b.Cleanup(func() { h.must(server.Close()) })
	nc, err := stream.Connect(stream.Options{URL: server.URL(), Log: zerolog.Nop()})
	h.must(err)
	b.Cleanup(nc.Close)
	h.stream, err = stream.New(nc, stream.Config{AppID: app}, zerolog.Nop())
	h.must(err)
	h.js, err = jetstream.New(nc)
	h.must(err)
	all.last = 10_000
	b.Run("sync always", func(b *testing.B) { h.speed(b, all, all.last) })
}

// speed measures a replay of so many events; 0: of those that it tells.
func (h *house) speed(b *testing.B, c choice, events int64) {
	for b.Loop() {
		b.StopTimer()
		told, err := h.stream.Replay(c.name, 0)
		h.must(err)
		_, err = told.Remove(b.Context())
		h.must(err)
		h.execute(`delete from replays`)
		r := h.start(c)
		b.StartTimer()
		report := h.run(r)
		if events == 0 {
			events = report.Told
		}
		if report.Told != events {
			b.Fatalf("%d events told, want %d", report.Told, events)
		}
	}
	b.ReportMetric(float64(events)*float64(b.N)/b.Elapsed().Seconds(), "events/s")
	b.ReportMetric(target, "target")
}
