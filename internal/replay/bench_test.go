package replay_test

import "testing"

// The target is 50,000 events a second.
func BenchmarkReplay(b *testing.B) {
	const events = 200_000
	h := newHouse(b, events, 50_000)
	for b.Loop() {
		h.execute(`delete from replays`)
		c := choice{name: "speed", first: 1, last: events}
		r := h.start(c)
		h.run(r)
		b.StopTimer()
		if err := h.js.DeleteStream(b.Context(), "PRESENCE_REPLAY_4000000001_speed"); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
	b.ReportMetric(float64(events)*float64(b.N)/b.Elapsed().Seconds(), "events/s(target>=50000)")
}
