package browser_test

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/zim-presence/poller/browser/fixture"
	"github.com/zim-presence/poller/internal/page"
)

// Of many apps the board has the newest incident of each, and the rest comes apart: it does not go with each new board.
func TestIncidentsStay(t *testing.T) {
	t.Parallel()
	_, address := serve(t, func(now time.Time) page.Board {
		b, ended := fixture.Fleet(now), now.Add(-30*time.Minute)
		for i := range b.Apps {
			b.Apps[i].Incidents = nil
			for n := range 5 {
				b.Apps[i].Incidents = append(b.Apps[i].Incidents, page.Incident{Number: 5 - n, Began: now.Add(-time.Hour), Ended: &ended, Outcome: "released"})
			}
		}
		return b
	})
	b := newTab(t, address)
	b.open("")
	b.open(ask[string](b, `[...document.querySelectorAll("#apps a")].find((a) => a.textContent.includes("fresh")).getAttribute("href")`))
	b.until(`document.querySelectorAll("#incidents tbody tr").length === 5`)
	ask[string](b, `(() => {
		window.fewest = 5;
		const look = () => { fewest = Math.min(fewest, document.querySelectorAll("#incidents tbody tr").length); };
		new MutationObserver(look).observe(document.getElementById("incidents"), { childList: true, subtree: true });
		window.boards = () => performance.getEntriesByType("resource").filter((e) => e.name.endsWith("/api/board") && e.responseEnd > 0).length;
		window.before = boards();
		return "";
	})()`)
	b.until(`boards() >= before + 2`)
	b.until(`new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done(true))))`)
	if fewest := ask[float64](b, `fewest`); fewest < 5 {
		t.Errorf("%v of 5 incidents were left with a new board", fewest)
	}
}

// The page opens with the worst app, and stays with it when that is mended and another is worse: nothing jumps away
// from who reads it.
func TestOpensWithTheWorst(t *testing.T) {
	t.Parallel()
	var later atomic.Bool
	_, address := serve(t, func(now time.Time) page.Board {
		b := fixture.Few(now)
		if later.Load() {
			b.Apps[0].Trouble, b.Apps[0].Budget.Breaker = "ZIM does not answer", true
			b.Apps[4].Trouble = ""
			for i := range b.Checks {
				switch b.Checks[i].Name {
				case "zim/7":
					b.Checks[i].OK, b.Checks[i].Error = false, "ZIM does not answer"
				case "zim/4294967295":
					b.Checks[i].OK, b.Checks[i].Error = true, ""
				}
			}
		}
		return b
	})
	b := newTab(t, address)
	b.open("")
	b.has("#cards", "App 4294967295")
	later.Store(true)
	b.until(`document.querySelector("#apps a").textContent.includes("7 red")`)
	b.until(`new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done(true))))`)
	b.has("#cards", "App 4294967295")
}
