package budget_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/zim-presence/poller/internal/budget"
	"github.com/zim-presence/poller/internal/zim"
	"github.com/zim-presence/poller/internal/zimsim"
	"github.com/zim-presence/poller/presence"
)

// childEnv makes this test binary another process: one that does nothing but use
// the CPU, or a simulated ZIM with these faults. Either ends with its standard
// input. The server is a process of its own because what it tells is when
// requests arrived, and in ours the Go scheduler would keep it from looking.
const childEnv = "BUDGET_TEST_CHILD"

const (
	app    = 12345
	secret = "9193cc662a4c0ec135ec71fb57194b38"
	rate   = 20
)

func TestMain(m *testing.M) {
	switch role, faults, _ := strings.Cut(os.Getenv(childEnv), " "); role {
	case "busy":
		spin()
	case "simulator":
		if err := simulate(faults); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	default:
		os.Exit(m.Run())
	}
}

func spin() {
	var gone atomic.Bool
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin) // ends with the parent
		gone.Store(true)
	}()
	for !gone.Load() {
		_ = gone.Load()
	}
}

// simulate prints the addresses of the gateway and of the control interface.
func simulate(text string) error {
	faults, err := zimsim.ParseFaults(text)
	if text != "" && err != nil {
		return err
	}
	s := zimsim.New(zimsim.Config{Apps: []zimsim.AppConfig{{ID: app, Secret: secret, Rate: rate}}, Faults: faults, Seed: 1})
	if err := s.Start(context.Background(), "127.0.0.1:0", "127.0.0.1:0"); err != nil {
		return err
	}
	fmt.Println(s.URL(), s.ControlURL())
	_, _ = io.Copy(io.Discard, os.Stdin) // ends with the parent
	s.Close()
	return nil
}

// child starts this binary in another role, until the end of the test.
func child(t testing.TB, role string) (output io.Reader) {
	t.Helper()
	c := exec.CommandContext(t.Context(), os.Args[0])
	if nice, err := exec.LookPath("nice"); err == nil && os.Geteuid() == 0 && role != "busy" {
		c = exec.CommandContext(t.Context(), nice, "-n", "-20", os.Args[0]) // a real server has a CPU to itself
	}
	c.Env = append(os.Environ(), childEnv+"="+role)
	c.Stderr = os.Stderr
	in, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = in.Close() // tells the child
		_ = c.Wait()   // killed or done, both are well
	})
	return out
}

// busyMachine keeps every CPU busy until the end of the test, with processes of
// their own.
func busyMachine(t testing.TB) {
	t.Helper()
	for range runtime.NumCPU() {
		child(t, "busy")
	}
}

// busyProcess keeps the Go scheduler busy until the end of the test: goroutines
// in this process that never wait, which the poller has none of, and the machine
// besides.
func busyProcess(t testing.TB) {
	t.Helper()
	busyMachine(t)
	var gone atomic.Bool
	var spinning sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		spinning.Go(func() {
			for !gone.Load() {
				_ = gone.Load()
			}
		})
	}
	t.Cleanup(func() {
		gone.Store(true)
		spinning.Wait()
	})
}

// poller is a client with a real budget at a strict server.
type poller struct {
	control string
	client  *zim.Client
	limit   *budget.Limiter
	users   []presence.User
}

func newPoller(t testing.TB, faults string) *poller {
	t.Helper()
	p := &poller{limit: budget.New(rate, nil)}
	var gateway string
	if _, err := fmt.Fscan(child(t, "simulator "+faults), &gateway, &p.control); err != nil {
		t.Fatal(err)
	}
	for i := range 100_000 {
		p.users = append(p.users, presence.User{No: uint32(i + 1), ID: fmt.Sprintf("u%d", i+1)})
	}
	client, err := zim.New(zim.Config{
		BaseURL: gateway, AppID: app, Secret: secret, Rate: rate, BatchSize: 100, Timeout: 5 * time.Second,
		Budget: p.limit, Log: zerolog.Nop(),
	})
	if err != nil {
		t.Fatal(err)
	}
	p.client = client
	t.Cleanup(client.Close)
	return p
}

// ask asks about the first n users, or as many as there is time for.
func (p *poller) ask(t testing.TB, n int, most time.Duration) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), most)
	defer cancel()
	answers := make(chan presence.Answer)
	read := make(chan struct{})
	go func() {
		defer close(read)
		for range answers { // what they say is not the matter here
		}
	}()
	_, err := p.client.Ask(ctx, slices.Values(p.users[:n]), answers)
	close(answers)
	<-read
	if err != nil && !errors.Is(err, context.DeadlineExceeded) {
		t.Fatal(err)
	}
}

// books reads one of the pages of the server's books.
func (p *poller) books(t testing.TB, page string, into any) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, p.control+page, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(into); err != nil {
		t.Fatal(err)
	}
}

// check wants no sliding second over the limit at the server, and as many
// requests there as slots were spent. The server may be held up itself, and note
// an arrival late: one second in a hundred may look too full for that, by a
// twentieth. A token bucket, which is what this is to tell apart, fills half of
// all seconds too full.
func (p *poller) check(t testing.TB, cut int) zimsim.Stats {
	t.Helper()
	var stats zimsim.Stats
	p.books(t, "/stats", &stats)
	var arrivals struct {
		Offsets []time.Duration `json:"offsets_ns"`
	}
	p.books(t, "/arrivals?since=0", &arrivals)
	full := 0
	for i := rate; i < len(arrivals.Offsets); i++ {
		gap := arrivals.Offsets[i] - arrivals.Offsets[i-rate]
		if gap < time.Second {
			full++
		}
		if gap < 950*time.Millisecond {
			t.Errorf("%d requests in %s at the server, the limit is %d in a second", rate+1, gap, rate)
		}
	}
	if full > max(1, len(arrivals.Offsets)/100) {
		t.Errorf("%d of %d seconds at the server are over the limit", full, len(arrivals.Offsets))
	}
	if refused := refusedForRate(stats); refused > uint64(full) {
		t.Errorf("%d requests were refused for the rate", refused)
	}
	if spent := p.limit.Spent(); stats.Arrivals > spent || stats.Arrivals+uint64(cut) < spent {
		t.Errorf("%d requests at the server with %d slots spent", stats.Arrivals, spent)
	}
	if stats.Arrivals < rate {
		t.Errorf("only %d requests at the server: nothing was put to the test", stats.Arrivals)
	}
	return stats
}

// No sliding second at a real server holds more than the limit: after idling,
// with crowds, with repetitions.
func TestNoSlidingSecondOverTheLimitAtTheServer(t *testing.T) {
	p := newPoller(t, "http:503@0.1,cut_body@0.1,slow:300ms@0.2")
	for _, crowd := range []int{100, 3000, 500, 4000} {
		p.ask(t, crowd, time.Minute)
		time.Sleep(400 * time.Millisecond) // the budget idles: this is what is tested
	}
	p.check(t, 0)
}

// Nor with the CPU busy, in this process and beside it.
func TestNoSlidingSecondOverTheLimitWithTheCPUBusy(t *testing.T) {
	p := newPoller(t, "http:503@0.1")
	busyProcess(t)
	p.ask(t, 100_000, 6*time.Second)
	p.check(t, rate) // those that the end of the time cut off
}

// BenchmarkBudget measures how much of the limit a long call uses at the server.
func BenchmarkBudget(b *testing.B) {
	for _, c := range []struct {
		name string
		busy func(testing.TB)
	}{{"idle", func(testing.TB) {}}, {"busy machine", busyMachine}, {"busy process", busyProcess}} {
		b.Run(c.name, func(b *testing.B) {
			p := newPoller(b, "")
			c.busy(b)
			for b.Loop() {
				p.ask(b, 100_000, 20*time.Second)
			}
			stats := p.check(b, b.N*rate)
			used := float64(stats.Arrivals-1) / stats.Last.Sub(stats.First).Seconds() / rate
			b.ReportMetric(100*used, "used_%")
			b.ReportMetric(98, "target_%")
			b.ReportMetric(float64(stats.MostPerSecond), "most/s")
			b.ReportMetric(0, "ns/op") // the time is given
		})
	}
}
