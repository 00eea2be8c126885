package browser_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/zim-presence/poller/browser/chrome"
	"github.com/zim-presence/poller/browser/fixture"
	"github.com/zim-presence/poller/internal/page"
)

// One outage after the other, on a page that stays open: it says what is wrong, on a
// phone as on a wide screen, and nothing is left of the one before.
func TestOutages(t *testing.T) {
	t.Parallel()
	server, address := serve(t, fixture.Calm)
	b := newTab(t, address)
	b.open("")
	b.until(settled)
	for i, want := range []struct {
		name  string
		parts map[string][]string // by selector
	}{
		{"vacant", map[string][]string{"#verdict": {"something wants a look", "nobody is known to poll this app"}, ".card.lease": {"Nobody is known to poll it"}, ".card.elsewhere": {"Nobody is asked about", "20 requests a second"}}},
		{"no-database", map[string][]string{"#verdict": {"2 checks are red", "What to do: see that Postgres runs"}, ".card.elsewhere": {"nothing new is told"}}},
		{"no-schema", map[string][]string{"#verdict": {"schema red for", "What to do: poller migrate, as the owner of the tables"}}},
		{"behind", map[string][]string{"#verdict": {"3 checks are red", "red for 1 d 13 h"}, ".card.told": {"3,481,207 events not told yet", "1 d 13 h ago"}}},
		{"altered", map[string][]string{
			"#verdict .error:nth-of-type(3)": {"max_msgs_per_subject of PRESENCE_1234567890 is 1, not -1: an event may be there twice, or be gone before a subscriber has it"}, "#verdict .mend": {"--retention=limits\nnats stream edit PRESENCE_1234567890 --max-msgs-per-subject=-1\n"},
		}},
		{"refused", map[string][]string{"#verdict": {"ZIM answered code 100000005 (signature is invalid)", "What to do: check the server secret", "0 % answered"}, ".card.sweep": {"ended early"}}},
		{"clock", map[string][]string{"#verdict": {"our clock is 662 s behind ZIM's"}}},
		{"broken", map[string][]string{".card.budget": {"does not answer; requests are held up"}, ".card.sweep": {"running for 31 min"}, ".card.fresh": {"43 min"}}},
		{"ageless", map[string][]string{"#verdict": {"first sweep"}, ".card.fresh": {"Nobody was answered yet"}, ".card.users": {"no sweep is over yet"}}},
		{"skewed", map[string][]string{"#verdict": {"something wants a look", "this machine’s clock is 1 min 1 s behind ZIM’s"}}},
		{"tight", map[string][]string{"#verdict": {"ZIM takes 9.5 of 20 requests a second", "3 due times went by"}, ".card.budget": {"slow down"}}},
		{"misconfigured", map[string][]string{"#verdict": {"something wants a look", "the configuration was read again and has faults", "poller check"}}},
		{"dropped", map[string][]string{"#verdict": {"49120 of 50000 watched users are gone", "load the list again"}}},
		{"locked", map[string][]string{"#verdict": {"55P03"}, ".card.sweep": {"Overdue by 2 min"}}},
		{"deciding", map[string][]string{"#verdict": {"some are asked again before it is believed"}, ".card.users": {"309,000 users said to be offline"}, "#incidents": {"99.7 % of those online", "being asked again", "true: told", "false: not told"}}},
	} {
		scene := fixture.Scenes()[want.name]
		server.Show(func(now time.Time) page.Board {
			board := scene(now)
			board.Version = want.name
			return board
		})
		b.do(chrome.Size(360, 800), chrome.System([]string{"light", "dark"}[i%2], true))
		ask[bool](b, askNow)
		b.until(fmt.Sprintf(`document.querySelector("#process").textContent.includes(%q)`, "Version"+want.name))
		b.until(settled)
		ask[string](b, `(document.querySelectorAll("details").forEach((e) => e.open = true), "")`)
		for _, width := range []int64{360, 1280} {
			b.do(chrome.Size(width, 800))
			if out := ask[[]string](b, sticksOut); len(out) > 0 {
				t.Errorf("%s, at %d px: these stick out of the page: %s", want.name, width, strings.Join(out, ", "))
			}
		}
		for selector, parts := range want.parts {
			b.has(selector, parts...)
		}
		for _, fault := range ask[[]string](b, barriers) {
			t.Errorf("%s: %s", want.name, fault)
		}
	}
}

// askNow has the page ask for a board at once, as when somebody comes back to it.
const askNow = `document.dispatchEvent(new Event("visibilitychange"))`
