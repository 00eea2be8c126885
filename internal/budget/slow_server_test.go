package budget_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/zim-presence/poller/internal/zimsim"
)

// setRate changes what the server takes.
func (p *poller) setRate(t testing.TB, rate int) {
	t.Helper()
	body, err := json.Marshal(map[string]int{"rate": rate})
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, p.control+"/rate", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("the server's rate cannot be set: %s", resp.Status)
	}
}

func refusedForRate(s zimsim.Stats) (n uint64) {
	for _, code := range []string{"660300005", "7", "http 429"} {
		n += s.Refused[code]
	}
	return n
}

// The whole client at a server that takes half of the setting, as when another
// program spends the rest, finds that out. How fast, and how well it then uses what
// is taken, tells TestSettlesAtWhatTheServerTakes, whose clock no other program can
// hold up, and BenchmarkHalfOfTheSetting.
func TestHalfOfTheSettingAtTheServer(t *testing.T) {
	p := newPoller(t, "")
	p.setRate(t, rate/2)
	for deadline := time.Now().Add(2 * time.Minute); p.limit.Rate() > rate*3/4; p.ask(t, 2000, time.Minute) {
		if time.Now().After(deadline) {
			t.Fatalf("the client still sends %.2f a second", p.limit.Rate())
		}
	}
	var stats zimsim.Stats
	p.books(t, "/stats", &stats)
	t.Logf("working rate %.2f after %d requests, of which %d were refused", p.limit.Rate(), stats.Arrivals, refusedForRate(stats))
	if refused := refusedForRate(stats); refused == 0 {
		t.Error("it goes slower though nothing was refused")
	}
}

// BenchmarkHalfOfTheSetting measures what a long call makes of a server that takes
// half of the setting, when it has settled.
func BenchmarkHalfOfTheSetting(b *testing.B) {
	const takes = rate / 2
	p := newPoller(b, "")
	p.setRate(b, takes)
	p.ask(b, len(p.users), 10*time.Second)
	var settled, end zimsim.Stats
	p.books(b, "/stats", &settled)
	for b.Loop() {
		p.ask(b, len(p.users), 20*time.Second)
	}
	p.books(b, "/stats", &end)
	sent, refused := end.Arrivals-settled.Arrivals, refusedForRate(end)-refusedForRate(settled)
	used := float64(sent-refused) / end.Last.Sub(settled.Last).Seconds() / takes
	b.ReportMetric(100*used, "used_%")
	b.ReportMetric(100*float64(refused)/float64(sent), "refused_%")
	b.ReportMetric(100*float64(refusedForRate(settled))/float64(settled.Arrivals), "refused_at_first_%")
	b.ReportMetric(0, "ns/op") // the time is given
}
