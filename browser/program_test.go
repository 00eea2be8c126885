package browser_test

import (
	"fmt"
	"testing"

	"github.com/zim-presence/poller/browser/program"
)

// The real program, from its start: somebody comes online in the simulator, and is seen
// to on the page; the page tells how that is known; ZIM refuses, and the page says so.
func TestProgram(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	binary, err := program.Build(ctx, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	w, err := program.Start(ctx, binary, []string{"--users", "0"}, []string{"POLLER_SCHEDULE=@every 1s"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	})
	b := newTab(t, w.Page)
	b.open("")
	b.until(`document.querySelector("#verdict").textContent.includes("Healthy, and nobody is watched")`)
	b.until(`document.querySelector(".card.users").textContent.includes("Nobody is watched")`)

	users := []string{"alice", "bob", "carol d.x"}
	if err := w.Watch(ctx, users...); err != nil {
		t.Fatal(err)
	}
	b.until(`document.querySelectorAll("#rows tr").length === 3`)
	b.has("#rows", "alice", "carol d.x", "baseline: unknown → offline (no session)")
	b.until(`document.querySelector(".card.users").textContent.includes("0 of 3 online")`)

	if err := w.Set(ctx, "alice", "online"); err != nil {
		t.Fatal(err)
	}
	b.until(`document.querySelectorAll("#rows tr").length === 4`)
	b.has("#rows tr:first-child", "alice", "offline → online")
	b.until(`document.querySelector(".card.users").textContent.includes("1 of 3 online")`)
	b.until(`document.querySelector(".card.fresh").textContent.includes("3")`)

	b.click("#rows tr:first-child a")
	b.until(`document.querySelector("#user .story")`)
	b.has("#user", "User alice", "alice is online since", "What ZIM answered", "baseline: unknown → offline (no session)", "offline → online", "at 4", fmt.Sprint("PRESENCE_", program.App))

	if err := w.Fault(ctx, `{"kind":"http","status":503}`); err != nil {
		t.Fatal(err)
	}
	b.until(`document.querySelector("#verdict").className !== "verdict ok"`)
	if err := w.Mend(ctx); err != nil {
		t.Fatal(err)
	}
	b.until(`document.querySelector("#verdict").textContent.includes("Healthy and fresh")`)
	for _, fault := range ask[[]string](b, barriers) {
		t.Error(fault)
	}
}
