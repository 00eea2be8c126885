package zim

import (
	"bufio"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/zim-presence/poller/presence"
)

// BenchmarkAsk measures the CPU that one unchanged user costs, and how many
// could be asked about in a second if nothing limited it. The simulated ZIM is a
// process of its own, so that its CPU is not counted.
func BenchmarkAsk(b *testing.B) {
	const n = 20_000
	users := numbered(n)
	r := newRig(b, childSimulator(b, n), func(c *Config) { c.Rate = 100_000 })
	answers := make(chan presence.Answer, 64)
	observed := make(chan int)
	go func() {
		total := 0
		for a := range answers {
			total += len(a.Observations)
		}
		observed <- total
	}()
	calls := 0
	cpu, start := cpuTime(b), time.Now()
	for b.Loop() {
		calls++
		if _, err := r.Ask(b.Context(), slices.Values(users), answers); err != nil {
			b.Fatal(err)
		}
	}
	elapsed, spent := time.Since(start), cpuTime(b)-cpu
	close(answers)
	if got := <-observed; got != calls*n {
		b.Fatalf("%d observed, want %d", got, calls*n)
	}
	asked := float64(calls * n)
	b.ReportMetric(float64(spent.Microseconds())/asked, "µs/user")
	b.ReportMetric(3, "target_µs/user")
	b.ReportMetric(asked/elapsed.Seconds(), "users/s")
}

// childSimulator starts this binary as a simulated ZIM with n users.
func childSimulator(b *testing.B, n int) (url string) {
	b.Helper()
	child := exec.CommandContext(b.Context(), os.Args[0])
	child.Env = append(os.Environ(), simulatorEnv+"="+strconv.Itoa(n))
	child.Stderr = os.Stderr
	in, err := child.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	out, err := child.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := child.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		_ = in.Close()   // tells the child
		_ = child.Wait() // killed or done, both are well
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		b.Fatal(err)
	}
	return strings.TrimSpace(line)
}

func cpuTime(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func BenchmarkReadReply(b *testing.B) {
	batch := numbered(100)
	ids := make([]string, len(batch))
	for i, u := range batch {
		ids[i] = u.ID
	}
	text := []byte(everybodyOnline(ids))
	b.ReportAllocs()
	for b.Loop() {
		if r, e := readReply(batch, 200, nil, text, time.Time{}, testSecret); e != nil || len(r.observed) != 100 {
			b.Fatal(e)
		}
	}
}
