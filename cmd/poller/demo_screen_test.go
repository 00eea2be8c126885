package main

import (
	"image/color"
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"

	"github.com/zim-presence/poller/internal/poll"
	"github.com/zim-presence/poller/presence"
)

// demoBill is of a demo with 5,000 users.
func demoBill(t *testing.T) bill {
	t.Helper()
	schedule, err := poll.ParseSchedule(demoSchedule)
	if err != nil {
		t.Fatal(err)
	}
	return bill{
		App: demoApp, Users: 5000, Speed: 5, Schedule: demoSchedule, Rate: 20, Due: schedule, ZIM: "http://127.0.0.1:1",
		Subscribe: []string{"nats sub -s nats://127.0.0.1:4222", "'presence.v1.*.online.>'"},
		Query: []string{
			`psql "host=/tmp/poller-demo-1234567890/postgres user=poller dbname=poller"`, "-c 'select status, count(*) from presence group by 1'",
		},
		Page:    "http://127.0.0.1:8080/",
		Metrics: "http://127.0.0.1:8080/metrics",
		Clock:   func(time.Time) time.Duration { return 14*time.Hour + 5*time.Minute },
	}
}

// demoNews is of the middle of the 12th sweep.
func demoNews(t *testing.T) news {
	t.Helper()
	told := toldNews{Online: 1700, Offline: 3200, Seq: 5312, Recorded: 5315, Delay: 6 * time.Millisecond}
	told.Events[presence.KindBaseline], told.Events[presence.KindOnline], told.Events[presence.KindOffline] = 5000, 160, 152
	return news{
		Bill:   demoBill(t),
		Sweep:  sweepNews{Number: 12, Watched: 5000, Seen: 2400, Missed: 100, Started: time.Now().Add(-time.Second)},
		Budget: budgetNews{Requests: 575, LastSecond: 18, Most: 20, Minute: []int{0, 20, 20, 10}},
		Told:   told,
		Heard: []heardEvent{
			demoEvent(5311, "user-000007", presence.Online, presence.Offline, presence.NoSession, 5*time.Second),
			demoEvent(5312, "user-000011", presence.Offline, presence.Online, presence.NoDetail, 5*time.Second),
		},
	}
}

// after is the screen after the messages.
func after(t *testing.T, s screen, messages ...tea.Msg) screen {
	t.Helper()
	for _, m := range messages {
		next, _ := s.Update(m)
		var ok bool
		if s, ok = next.(screen); !ok {
			t.Fatalf("after %T the model is a %T", m, next)
		}
	}
	return s
}

// drawn is what a screen shows, without colours. It is an error if that does not fit.
func drawn(t *testing.T, s screen) string {
	t.Helper()
	text := ansi.Strip(s.View().Content)
	lines := strings.Split(text, "\n")
	if len(lines) != s.height {
		t.Errorf("%d lines on a screen of %d", len(lines), s.height)
	}
	for _, line := range lines {
		if got := ansi.StringWidth(line); got > s.width {
			t.Errorf("%d cells on a screen of %d: %q", got, s.width, line)
		}
	}
	return text
}

func wantAll(t *testing.T, text string, wants ...string) {
	t.Helper()
	for _, want := range wants {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not shown in:\n%s", want, text)
		}
	}
}

func TestScreenShowsAll(t *testing.T) {
	for _, size := range []tea.WindowSizeMsg{{Width: 80, Height: 24}, {Width: 140, Height: 45}} {
		s := after(t, newScreen(func() {}), size, demoNews(t))
		text := drawn(t, s)
		wantAll(t, text,
			"app 1234567890, 5,000 users at 5x real time, @every 5s, 20 requests a second",
			"#12  2,400 of 5,000, 100 missed", "18 of 20 in the last second, never over 20",
			"1,700 online  3,200 offline  100 not answered yet",
			"160 online, 152 offline, 5,000 first answers; lag 3, delay 6 ms",
			"user-000007", "user-000011", "in the 5.0 s before", "told in 7 ms",
			"nats sub -s nats://127.0.0.1:4222 'presence.v1.*.online.>'", "user=poller dbname=poller",
			"-c 'select status, count(*) from presence group by 1'", "http://127.0.0.1:8080/ in a browser", "q or Ctrl-C")
		if strings.Index(text, "user-000007") > strings.Index(text, "user-000011") {
			t.Errorf("the newer event is not the lower one:\n%s", text)
		}
		if !s.View().AltScreen {
			t.Error("the view is not on the alternate screen: it would stay behind")
		}
	}
}

func TestScreenOfAnySize(t *testing.T) {
	n := demoNews(t)
	for range 300 {
		n.Heard = append(n.Heard, n.Heard[0])
	}
	n.Warnings = []string{strings.Repeat("wide ", 100)}
	for width := 1; width < 200; width += 13 {
		for height := 1; height < 70; height += 3 {
			size := tea.WindowSizeMsg{Width: width, Height: height}
			drawn(t, after(t, newScreen(func() {}), size))
			drawn(t, after(t, newScreen(func() {}), size, n, n))
		}
	}
	if got := after(t, newScreen(func() {}), n).View().Content; got != "" {
		t.Errorf("before the size is known: %q is drawn", got)
	}
}

// TestScreenPrefersEvents to hints where there is no room for both.
func TestScreenPrefersEvents(t *testing.T) {
	for height, hints := range map[int]bool{24: true, 19: true, 18: false, 12: false} {
		text := drawn(t, after(t, newScreen(func() {}), tea.WindowSizeMsg{Width: 80, Height: height}, demoNews(t)))
		wantAll(t, text, "user-000011", "q or Ctrl-C")
		if got := strings.Contains(text, "nats sub"); got != hints {
			t.Errorf("on %d lines: hints shown %t, want %t:\n%s", height, got, hints, text)
		}
	}
}

func TestScreenTellsWhatIsUp(t *testing.T) {
	size := tea.WindowSizeMsg{Width: 80, Height: 24}
	s := after(t, newScreen(func() {}), size, news{Step: "a private Postgres"})
	wantAll(t, drawn(t, s), "starting a private Postgres …")

	n := demoNews(t)
	started := time.Now().Truncate(time.Second)
	n.Sweep.Started, n.Sweep.Finished, n.Sweep.Complete = started, started.Add(time.Millisecond), true
	s = after(t, s, n)
	wantAll(t, drawn(t, s), "next in ")
	n.Sweep.Complete = false
	wantAll(t, drawn(t, after(t, s, n)), "#12  2,400 of 5,000, broken off")

	n.Warnings = []string{"first", "second"}
	s = after(t, s, n)
	n.Warnings = nil
	wantAll(t, drawn(t, after(t, s, n)), "! second")
}

func TestScreenKnowsTheBackground(t *testing.T) {
	s := after(t, newScreen(func() {}), tea.WindowSizeMsg{Width: 80, Height: 24}, demoNews(t))
	dark := after(t, s, tea.BackgroundColorMsg{Color: color.Black}).View().Content
	light := after(t, s, tea.BackgroundColorMsg{Color: color.White}).View().Content
	if dark == light {
		t.Error("the colours are the same on a light and on a dark background")
	}
	if ansi.Strip(dark) != ansi.Strip(light) {
		t.Error("the text is not the same on a light and on a dark background")
	}
}

func TestScreenQuits(t *testing.T) {
	for name, key := range map[string]tea.KeyPressMsg{
		"q": {Code: 'q', Text: "q"}, "ctrl+c": {Code: 'c', Mod: tea.ModCtrl}, "esc": {Code: tea.KeyEscape},
	} {
		t.Run(name, func(t *testing.T) {
			quits := 0
			s := after(t, newScreen(func() { quits++ }), tea.WindowSizeMsg{Width: 80, Height: 24}, demoNews(t))
			model, cmd := s.Update(key)
			if cmd == nil {
				t.Fatal("nothing follows from the key")
			}
			if m := cmd(); m != nil || quits != 1 {
				t.Errorf("first time: message %v, %d calls of quit, want none and 1", m, quits)
			}
			wantAll(t, ansi.Strip(model.View().Content), "stopping")
			_, cmd = model.Update(key)
			if cmd == nil {
				t.Fatal("nothing follows from the key when pressed again")
			}
			if _, ok := cmd().(tea.QuitMsg); !ok {
				t.Error("pressed again it does not give the terminal back")
			}
		})
	}
	other := after(t, newScreen(func() { t.Error("x quits") }), tea.KeyPressMsg{Code: 'x', Text: "x"})
	if other.stopping {
		t.Error("x stops")
	}
}

func TestBarAndSpark(t *testing.T) {
	l := newLook(true)
	for _, c := range []struct {
		part float64
		want string
	}{{-1, "────"}, {0, "────"}, {0.5, "██──"}, {0.53125, "██▏─"}, {0.71875, "██▉─"}, {1, "████"}, {7, "████"}} {
		if got := ansi.Strip(l.bar(c.part, 4)); got != c.want {
			t.Errorf("bar of %g: got %s, want %s", c.part, got, c.want)
		}
	}
	if got, want := ansi.Strip(l.spark([]int{9, 0, 1, 10, 20, 30}, 20, 5)), "▁▁▄██"; got != want {
		t.Errorf("spark: got %s, want %s", got, want)
	}
	if got := l.spark([]int{1}, 20, -3); got != "" {
		t.Errorf("spark without room: got %q", got)
	}
}
