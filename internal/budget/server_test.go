package budget_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
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

// busyEnv makes this test binary a process that does nothing but use the CPU
// until its parent is gone.
const busyEnv = "BUDGET_TEST_BUSY"

const (
	app    = 12345
	secret = "9193cc662a4c0ec135ec71fb57194b38"
	rate   = 20
)

func TestMain(m *testing.M) {
	if os.Getenv(busyEnv) != "" {
		var gone atomic.Bool
		go func() {
			_, _ = bufio.NewReader(os.Stdin).ReadByte() // ends with the parent
			gone.Store(true)
		}()
		for !gone.Load() {
			_ = gone.Load()
		}
		return
	}
	os.Exit(m.Run())
}

// busy keeps the CPU busy in this process and in another until the end of the
// test.
func busy(t testing.TB) {
	t.Helper()
	child := exec.CommandContext(t.Context(), os.Args[0])
	child.Env = append(os.Environ(), busyEnv+"=1")
	stdin, err := child.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
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
		_ = stdin.Close() // tells the child
		_ = child.Wait()  // killed or done, both are well
	})
}

// poller is a client with a real budget at a strict server.
type poller struct {
	server *zimsim.Server
	client *zim.Client
	limit  *budget.Limiter
	users  []presence.User
}

func newPoller(t testing.TB, faults ...zimsim.Fault) *poller {
	t.Helper()
	p := &poller{limit: budget.New(rate, nil), server: zimsim.New(zimsim.Config{
		Apps: []zimsim.AppConfig{{ID: app, Secret: secret, Rate: rate}}, Faults: faults, Seed: 1,
	})}
	if err := p.server.Start(t.Context(), "127.0.0.1:0", ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.server.Close)
	for i := range 100_000 {
		p.users = append(p.users, presence.User{No: uint32(i + 1), ID: fmt.Sprintf("u%d", i+1)})
	}
	client, err := zim.New(zim.Config{
		BaseURL: p.server.URL(), AppID: app, Secret: secret, Rate: rate, BatchSize: 100, Timeout: 5 * time.Second,
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

// check wants no sliding second over the limit at the server, and as many
// requests there as slots were spent.
func (p *poller) check(t testing.TB, cut int) zimsim.Stats {
	t.Helper()
	stats := p.server.App(app).Stats()
	if stats.MostPerSecond > rate {
		t.Errorf("%d requests in one second at the server, the limit is %d", stats.MostPerSecond, rate)
	}
	for _, code := range []string{"660300005", "7", "http 429"} {
		if n := stats.Refused[code]; n > 0 {
			t.Errorf("%d requests were refused with %s", n, code)
		}
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
	p := newPoller(t,
		zimsim.Fault{Kind: zimsim.HTTPError, Probability: 0.1},
		zimsim.Fault{Kind: zimsim.CutBody, Probability: 0.1},
		zimsim.Fault{Kind: zimsim.Slow, Delay: 300 * time.Millisecond, Probability: 0.2},
	)
	for _, crowd := range []int{100, 3000, 500, 4000} {
		p.ask(t, crowd, time.Minute)
		time.Sleep(400 * time.Millisecond) // the budget idles: this is what is tested
	}
	p.check(t, 0)
}

// Nor with the CPU busy, in this process and beside it.
func TestNoSlidingSecondOverTheLimitWithTheCPUBusy(t *testing.T) {
	p := newPoller(t, zimsim.Fault{Kind: zimsim.HTTPError, Probability: 0.1})
	busy(t)
	p.ask(t, 100_000, 6*time.Second)
	p.check(t, rate) // those that the end of the time cut off
}

// BenchmarkBudget measures how much of the limit a long call uses at the server.
func BenchmarkBudget(b *testing.B) {
	for _, state := range []string{"idle", "busy"} {
		b.Run(state, func(b *testing.B) {
			p := newPoller(b)
			if state == "busy" {
				busy(b)
			}
			for b.Loop() {
				p.ask(b, 100_000, 20*time.Second)
			}
			stats := p.check(b, b.N*rate)
			used := float64(stats.Arrivals-1) / stats.Last.Sub(stats.First).Seconds() / rate
			b.ReportMetric(100*used, "used_%")
			b.ReportMetric(98, "target_%")
			b.ReportMetric(0, "ns/op") // the time is given
		})
	}
}
