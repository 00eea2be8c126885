package main

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/zim-presence/poller/internal/poll"
	"github.com/zim-presence/poller/internal/zimsim"
	"github.com/zim-presence/poller/presence"
)

func TestNewsroomCounts(t *testing.T) {
	room := &newsroom{}
	for i, e := range []heardEvent{
		demoEvent(1, "a", presence.Unknown, presence.Online, presence.NoDetail, 0),
		demoEvent(2, "b", presence.Unknown, presence.Offline, presence.NoSession, 0),
		demoEvent(3, "b", presence.Offline, presence.Online, presence.NoDetail, time.Second),
		demoEvent(4, "a", presence.Online, presence.Offline, presence.Timeout, time.Second),
		demoEvent(5, "a", presence.Offline, presence.Unknown, presence.NoDetail, time.Second),
	} {
		room.heard(e.Event, e.At.Add(time.Duration(i)*time.Millisecond))
	}
	room.recorded(9)
	want := toldNews{Online: 1, Seq: 5, Recorded: 9, Delay: 11 * time.Millisecond}
	want.Events[presence.KindBaseline], want.Events[presence.KindOnline] = 2, 1
	want.Events[presence.KindOffline], want.Events[presence.KindRemoved] = 1, 1
	got := room.take()
	if diff := cmp.Diff(got.Told, want); diff != "" {
		t.Errorf("told (-got +want):\n%s", diff)
	}
	if len(got.Heard) != 5 || got.Told.Lag() != 4 {
		t.Errorf("%d events, lag %d, want 5 and 4", len(got.Heard), got.Told.Lag())
	}
	if again := room.take(); len(again.Heard) != 0 || again.Told != want {
		t.Errorf("taken again: %d events and %+v, want none and the same", len(again.Heard), again.Told)
	}
	room.recorded(4) // read before the last event was heard
	if lag := room.take().Told.Lag(); lag != 0 {
		t.Errorf("lag of a subscriber who is ahead of what was read: %d, want 0", lag)
	}
}

// TestNewsroomIsBounded holds that a terminal that stands still costs no memory
// without end, and loses the oldest.
func TestNewsroomIsBounded(t *testing.T) {
	room := &newsroom{}
	for n := range mostHeard + 7 {
		e := demoEvent(int64(n+1), "a", presence.Unknown, presence.Online, presence.NoDetail, 0)
		room.heard(e.Event, e.At)
		room.warned("again")
	}
	got := room.take()
	if len(got.Heard) != mostHeard || got.Unshown != 7 || got.Heard[0].Seq != 8 || len(got.Warnings) > 100 {
		t.Errorf("%d events from %d, %d unshown, %d warnings", len(got.Heard), got.Heard[0].Seq, got.Unshown, len(got.Warnings))
	}
}

func TestNewsroomSweeps(t *testing.T) {
	room, now := &newsroom{}, time.Now()
	missed := map[presence.MissReason]int{presence.MissFailed: 3}
	room.swept(poll.Report{Sweep: 1, Watched: 10, Seen: 2, Missed: missed, Started: now})
	missed[presence.MissFailed] = 5 // the sweep goes on
	if got := room.take(); len(got.Ended) != 0 || got.Sweep.Missed != 3 || got.Sweep.Seen != 2 {
		t.Errorf("while it runs: %+v", got)
	}
	room.swept(poll.Report{Sweep: 1, Watched: 10, Seen: 2, Missed: missed, Started: now, Finished: now})
	room.swept(poll.Report{Sweep: 2, Watched: 10, Seen: 10, Started: now, Finished: now, Complete: true})
	if got := room.take(); len(got.Ended) != 2 || got.Sweeps != 1 || got.Sweep.Number != 2 {
		t.Errorf("after one that was broken off and one that was not: %+v", got)
	}
}

func TestNewsroomDelivers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		room := &newsroom{}
		var lines []string
		stop := room.deliver(time.Second, func(n news) { lines = append(lines, n.Warnings...) })
		room.warned("first")
		time.Sleep(1500 * time.Millisecond)
		synctest.Wait()
		if diff := cmp.Diff(lines, []string{"first"}); diff != "" {
			t.Errorf("after 1.5 s (-got +want):\n%s", diff)
		}
		room.warned("last")
		stop()
		stop()
		if diff := cmp.Diff(lines, []string{"first", "last"}); diff != "" {
			t.Errorf("when stopped (-got +want):\n%s", diff)
		}
	})
}

func TestWarningsAreNews(t *testing.T) {
	room := &newsroom{}
	log := newWarningLog(room)
	log.Info().Msg("all is well")
	log.Warn().Int("seq", 7).Msg("cannot tell")
	got := room.take().Warnings
	if len(got) != 1 || !strings.Contains(got[0], "cannot tell") || !strings.Contains(got[0], "seq=7") {
		t.Errorf("got %q, want the warning alone", got)
	}
}

func TestMeter(t *testing.T) {
	begun := time.Now()
	sim := zimsim.New(zimsim.Config{Apps: []zimsim.AppConfig{{ID: demoApp, Secret: demoSecret}}})
	if err := sim.Start(t.Context(), "127.0.0.1:0", ""); err != nil {
		t.Fatal(err)
	}
	defer sim.Close()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	meter := meter{app: sim.App(demoApp), begun: begun}
	ask := func() {
		answer, err := client.Get(fmt.Sprintf("%s/?AppId=%d", sim.URL(), demoApp))
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
	}
	sum := func(b budgetNews) (n int) {
		for _, v := range b.Minute {
			n += v
		}
		return n
	}
	ask()
	ask()
	first, _ := sim.App(demoApp).Arrivals(0)
	if got := meter.read(begun.Add(first[0] + time.Second/2)); got.Requests != 2 || got.LastSecond != 2 || sum(got) != 2 {
		t.Errorf("half a second after the first of 2 requests: %+v", got)
	}
	ask()
	arrived := time.Now()
	if got := meter.read(arrived.Add(30 * time.Second)); got.Requests != 3 || sum(got) != 3 || got.LastSecond != 0 {
		t.Errorf("half a minute after 3 requests: %+v", got)
	}
	if got := meter.read(arrived.Add(2 * minute * time.Second)); got.Requests != 3 || sum(got) != 0 || len(meter.recent) != 0 {
		t.Errorf("two minutes after 3 requests: %+v, %d remembered", got, len(meter.recent))
	}
}
