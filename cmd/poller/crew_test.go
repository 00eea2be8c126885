package main

import (
	"slices"
	"testing"

	"github.com/rs/zerolog"

	"github.com/zim-presence/poller/internal/status"
	"github.com/zim-presence/poller/internal/zim"
)

// idle is an app that polls nothing, since nobody has it take its lease.
func idle(t *testing.T, id uint32) *app {
	t.Helper()
	client, err := zim.New(zim.Config{BaseURL: "http://127.0.0.1:9", AppID: id, Secret: "s", Rate: 1, BatchSize: 1, Timeout: 1})
	if err != nil {
		t.Fatal(err)
	}
	return &app{
		id: id, zim: client, take: newWish(), leave: newWish(), checks: status.NewChecks(), metrics: status.NewMetrics("v1").App(id), log: zerolog.Nop(),
	}
}

// Apps come and go; who was removed, or launched too late, polls no more.
func TestCrew(t *testing.T) {
	var c crew
	for _, id := range []uint32{3, 1, 2} {
		c.add(idle(t, id))
		c.launch(t.Context(), id)
	}
	if c.members[0].stop != nil {
		t.Error("an app was launched before the crew began")
	}
	c.begin(t.Context())
	c.launch(t.Context(), 2) // once is enough
	if got, want := c.ids(), []uint32{3, 1, 2}; !slices.Equal(got, want) {
		t.Errorf("ids %d, want %d", got, want)
	}
	gone := c.members[1]
	c.remove(1).close()
	select {
	case <-gone.done:
	default:
		t.Error("the app that was removed still polls")
	}
	if c.find(1) != nil || c.find(2) == nil || !slices.Equal(c.ids(), []uint32{3, 2}) {
		t.Errorf("ids %d after the removal of 1", c.ids())
	}
	if c.remove(1) != nil {
		t.Error("somebody was removed twice")
	}
	c.wait()
	c.add(idle(t, 4))
	c.launch(t.Context(), 4)
	c.launch(t.Context(), 5)
	if late := c.members[2]; late.stop != nil {
		t.Error("an app was launched while the program ends")
	}
	for _, m := range c.members[:2] {
		<-m.done
	}
	c.close()
}
