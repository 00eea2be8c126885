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
// program spends the rest: within seconds it sends what is taken, and hardly
// more. The figures to the percent are those of TestSettlesAtWhatTheServerTakes,
// whose clock no other program can hold up.
func TestHalfOfTheSettingAtTheServer(t *testing.T) {
	const takes = rate / 2
	p := newPoller(t, "")
	p.setRate(t, takes)
	p.ask(t, len(p.users), 10*time.Second)
	var settled, end zimsim.Stats
	p.books(t, "/stats", &settled)
	p.ask(t, len(p.users), 20*time.Second)
	p.books(t, "/stats", &end)
	sent, refused := end.Arrivals-settled.Arrivals, refusedForRate(end)-refusedForRate(settled)
	used := float64(sent-refused) / end.Last.Sub(settled.Last).Seconds() / takes
	t.Logf("while it settled %d of %d requests were refused, then %d of %d; %.0f %% of what the server takes was used; working rate %.2f",
		refusedForRate(settled), settled.Arrivals, refused, sent, 100*used, p.limit.Rate())
	if refused*20 >= sent || refusedForRate(settled)*5 >= settled.Arrivals {
		t.Errorf("%d of %d requests were refused after settling, want under 5 %%; before that %d of %d, want under 20 %%",
			refused, sent, refusedForRate(settled), settled.Arrivals)
	}
	if used < 0.7 { // 80 % on a machine of one's own
		t.Errorf("%.0f %% of what the server takes was used", 100*used)
	}
}
