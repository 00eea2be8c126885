package main

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/zim-presence/poller/presence"
)

func TestThousands(t *testing.T) {
	for n, want := range map[int64]string{
		0: "0", 7: "7", 999: "999", 1000: "1,000", 12345: "12,345", 1234567: "1,234,567", -1: "-1", -999: "-999", -1234: "-1,234",
	} {
		if got := thousands(n); got != want {
			t.Errorf("thousands(%d) = %q, want %q", n, got, want)
		}
	}
}

func TestCommandLines(t *testing.T) {
	words := []string{`psql "host=/tmp/x"`, "-c 'select 1'"}
	for width, want := range map[int][]string{
		200: {`psql "host=/tmp/x" -c 'select 1'`},
		32:  {`psql "host=/tmp/x" -c 'select 1'`},
		31:  {`psql "host=/tmp/x" \`, "  -c 'select 1'"},
	} {
		if diff := cmp.Diff(commandLines(words, width), want); diff != "" {
			t.Errorf("at width %d (-got +want):\n%s", width, diff)
		}
	}
}

func TestConnectionWord(t *testing.T) {
	for dsn, want := range map[string]string{
		"postgres://poller@/poller?host=%2Ftmp%2Fa-1%2Fpostgres&port=5432&sslmode=disable": `"host=/tmp/a-1/postgres user=poller dbname=poller"`,
		"postgres://poller@/poller?host=%2Ftmp%2Fa+b&port=5432":                            `'postgres://poller@/poller?host=%2Ftmp%2Fa+b&port=5432'`,
		"postgres://poller@/poller?host=%2Ftmp%2F%24x&port=5432":                           `'postgres://poller@/poller?host=%2Ftmp%2F%24x&port=5432'`,
		"postgres://poller@/poller?host=%2Ftmp&port=5433":                                  `'postgres://poller@/poller?host=%2Ftmp&port=5433'`,
	} {
		if got := connectionWord(dsn); got != want {
			t.Errorf("connectionWord(%q) = %s, want %s", dsn, got, want)
		}
	}
}

// demoEvent is an event that was answered at second 10 of a minute and heard 7 ms later.
func demoEvent(seq int64, user string, from, to presence.Status, detail presence.Detail, width time.Duration) heardEvent {
	kind, _ := presence.KindOf(from, to)
	at := time.Date(2026, 11, 22, 18, 43, 10, 0, time.UTC)
	e := heardEvent{At: at.Add(7 * time.Millisecond), Event: presence.Event{AppID: demoApp, Transition: presence.Transition{
		Seq: seq, User: presence.User{ID: user}, Kind: kind, From: from, To: to, Detail: detail, ObservedAt: at,
	}}}
	if width > 0 {
		e.After = at.Add(-width)
	}
	return e
}

func TestEventText(t *testing.T) {
	logout := demoEvent(41, "user-000007", presence.Online, presence.Offline, presence.NoSession, 4900*time.Millisecond)
	first := demoEvent(1, "user-000001", presence.Unknown, presence.Online, presence.NoDetail, 0)
	for _, c := range []struct {
		event heardEvent
		width int
		want  []string
	}{
		{logout, 80, []string{"offline ", "user-000007", "in the 4.9 s before", "told in 7 ms"}},
		{logout, 140, []string{"offline ", "online to offline (no session)", "in the 4.9 s before", "told in 7 ms", "#41"}},
		{first, 80, []string{"baseline", "user-000001", "first answer: online"}},
	} {
		got := eventText(c.event, c.width)
		for _, want := range c.want {
			if !strings.Contains(got, want) {
				t.Errorf("at width %d: %q lacks %q", c.width, got, want)
			}
		}
		if len(got) > c.width {
			t.Errorf("at width %d: %q has %d characters", c.width, got, len(got))
		}
	}
}

func TestLines(t *testing.T) {
	var out, warnings strings.Builder
	lines := demoLines{out: &out, warnings: &warnings}
	n := news{
		Bill:     demoBill(t),
		Warnings: []string{"something is odd"},
		Ended:    []sweepNews{{Number: 3, Watched: 5000, Seen: 4990, Missed: 10, Transitions: 2, Requests: 50, Complete: true}},
		Heard: []heardEvent{
			demoEvent(1, "user-000001", presence.Unknown, presence.Online, presence.NoDetail, 0),
			demoEvent(2, "user-000002", presence.Unknown, presence.Offline, presence.NoSession, 0),
			demoEvent(3, "user-000001", presence.Online, presence.Offline, presence.Timeout, time.Second),
		},
		Unshown: 1200,
	}
	for range 2 {
		if err := lines.show(n); err != nil {
			t.Fatal(err)
		}
	}
	for text, want := range map[string]int{
		"nats sub -s nats://127.0.0.1:4222 'presence.v1.*.online.>'\n":      1,
		"page       http://127.0.0.1:8080/\n":                               1,
		"http://127.0.0.1:8080/metrics\n":                                   1,
		"baseline  2 users answered for the first time, 1 of them online\n": 2,
		"offline   user-000001":                                             2,
		"1,200 events came too fast":                                        2,
		"sweep 3  4,990 of 5,000 seen, 10 missed, 2 changes, 50 requests, ": 2,
	} {
		if got := strings.Count(out.String(), text); got != want {
			t.Errorf("%q is there %d times, want %d, in:\n%s", text, got, want, out.String())
		}
	}
	if got, want := warnings.String(), strings.Repeat("warning: something is odd\n", 2); got != want {
		t.Errorf("warnings: got %q, want %q", got, want)
	}
}
