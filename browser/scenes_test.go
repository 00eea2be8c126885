package browser_test

import (
	"strings"
	"testing"

	"github.com/zim-presence/poller/browser/chrome"
	"github.com/zim-presence/poller/browser/fixture"
)

// Whatever the board, nothing goes wrong in the browser, nothing sticks out of the
// page at any width, and whoever does not see it finds the way.
func TestScenes(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]struct {
		place string
		parts map[string][]string // by selector
	}{
		"calm": {"", map[string][]string{
			"#verdict": {"Healthy and fresh", "15,500 of 50,000 users online", "10 checks are green", "zim/1234567890 for 1 d 2 h; the answers come through a proxy"}, "#process": {"poller-7c9d:1:4f2a", "v0.9.0", "1 d 2 h"},
			".card.users": {"15,500 of 50,000", "unknown 12", "100 % answered", "41 changes wait"}, ".card.sweep": {"Next in", "1,561"},
			".card.fresh": {"younger than 25 s", "35,000", "never answered"}, ".card.budget": {"42 %", "20 of 20 requests a second"},
			".card.told": {"Everything is told", "12 ms"}, ".card.lease": {"Here", "Since", "for 1 d 2 h"}, "#incidents": {"12,500 users, 81 %", "false: not told"},
		}},
		"red": {"", map[string][]string{
			"#verdict":    {"Not ready: 2 checks are red", "nats red for 3 min", "connection refused", "What to do: see that NATS runs"},
			".card.sweep": {"43 % of sweep 1,562", "about 29 s left", "33 transitions", "19 batches timed out"}, ".card.told": {"4,812 events not told yet", "3 min"},
			".card.budget": {"8.4 of 20", "slow down"},
		}},
		"look": {"", map[string][]string{
			"#verdict": {"Ready, and something wants a look", "sweep 1,561 has no answer about 1,900 of 50,000 users: 19 batches timed out", "31 events not told yet, the oldest for 45 s", "asked again",
				"sweep 1,561 lasted longer than the schedule leaves room for, and 2 due times went by", "ZIM takes 8.4 of 20 requests a second", "clock is 1 min 15 s behind ZIM’s: set it"},
			".card.users": {"7,300 users said to be offline, and not believed yet"}, "#incidents": {"being asked again", "s so far"},
		}},
		"nowhere": {"#/app/77", map[string][]string{"#nowhere": {"not in the configuration of this process"}}},
		"empty":   {"", map[string][]string{"#verdict": {"no app is configured", "zim.app_id"}}},
		"first":   {"", map[string][]string{"#verdict": {"first sweep"}, ".card.users": {"Not known yet"}, "#plots": {"knows nothing of this time"}}},
		"nobody":  {"", map[string][]string{"#verdict": {"Healthy, and nobody is watched", "the watchlist is empty"}, ".card.users": {"0 of 0", "poller watch add"}, ".card.fresh": {"Nobody is watched"}}},
		"standby": {"", map[string][]string{"#verdict": {"standing by", "poller-55b1:1:c07e polls this app"}, ".card.lease": {"Standby"}, ".card.elsewhere": {"on its page", "@every 1m"}}},
		"million": {"", map[string][]string{".card.users": {"310,000 of 1,000,000"}, ".card.sweep": {"43 %", "427,800 of 1,000,000 users", "4 min 46 s left"}}},
		"fleet": {"#/app/1001029470", map[string][]string{
			"#verdict": {"2 apps want a look", "2,103 checks are green", "App 1000696872: 660300002"}, "#apps": {"300 apps: 1 red, 1 look, 150 standby, 148 fresh"}, "#cards": {"ZIM does not answer"},
		}},
		"long":   {"", map[string][]string{"#verdict": {"<img src=x onerror=alert(1)>"}, ".card.budget": {"<script>alert(1)</script>"}}},
		"hidden": {"", map[string][]string{"#cards": {"User ids are hidden"}}},
		"user": {"#/app/1234567890/user/alice", map[string][]string{
			"#user": {"User alice", "alice is online since", "660200001 (no session)", "▲ timeout", "at 10,430", "▲ not told yet", "▲ missed", "waits to be confirmed"},
		}},
		"few":      {"", map[string][]string{"#verdict": {"Not ready: 1 check is red", "App 4294967295: zim/4294967295 is red", "App 1234567890: 31 events not told yet"}, "#apps": {"5 apps: 1 red, 1 look, 1 standby, 1 first sweep, 1 fresh"}, "#cards": {"App 4294967295"}}},
		"billions": {"", map[string][]string{"#process": {"1,200", "4,000 d"}, ".card.users": {"665,719,930 of 2,147,483,647"}, ".card.told": {"9,876,543,210"}}},
		"silent":   {"#/app/1234567890/user/silent", map[string][]string{"#user": {"User silent", "never, as far as is known", "▲ absent", "refuses the id itself", "has nothing of this user"}}},
		"erased":   {"#/app/1234567890/user/erased", map[string][]string{"#user": {"erased: online → unknown", "retention has dropped them", "there is none"}}},
		"bare":     {"#/app/1234567890/user/bare", map[string][]string{"#user": {"Nothing was told of this user", "http.listen is empty", "No request about this user"}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			scene := fixture.Scenes()[name]
			if scene == nil {
				scene = fixture.Calm
			}
			server, address := serve(t, scene)
			if name == "hidden" {
				if err := server.Hide(); err != nil {
					t.Fatal(err)
				}
			}
			b := newTab(t, address)
			for i, width := range []int64{360, 768, 1280} {
				b.do(chrome.Size(width, 800), chrome.System([]string{"light", "dark"}[i%2], i == 0))
				if i == 0 {
					b.open(want.place)
					b.until(`!document.querySelector("#user .loading")`)
					b.until(settled)
					if out := ask[[]string](b, sticksOut); len(out) > 0 {
						t.Errorf("these stick out of the page: %s", strings.Join(out, ", "))
					}
					ask[string](b, `(document.querySelectorAll("details").forEach((e) => e.open = true), "")`)
				}
				if out := ask[[]string](b, sticksOut); len(out) > 0 {
					t.Errorf("at %d px, with all details open, these stick out of the page: %s", width, strings.Join(out, ", "))
				}
			}
			for selector, parts := range want.parts {
				b.has(selector, parts...)
			}
			for _, fault := range ask[[]string](b, barriers) {
				t.Error(fault)
			}
		})
	}
}

// settled is true when the plots are there, where there are any.
const settled = `!document.querySelector("#app:not([hidden]) > #plots[hidden] ~ #live:not([hidden])")`

// sticksOut are the elements that are wider than the page, but for what scrolls by
// itself, and those whose text is wider than they are.
const sticksOut = `(async () => {
  for (let frame = 0; frame < 3; frame++) await new Promise(requestAnimationFrame); // the plots follow a new width with the next one
  const wide = document.documentElement.scrollWidth > innerWidth ? ["the page, " + document.documentElement.scrollWidth + " px wide"] : [];
  const out = [...document.body.querySelectorAll("*")].filter((e) => {
    const box = e.getBoundingClientRect();
    const over = /^(DT|DD|P|LI|TH|TD|H2|H3|BUTTON|LABEL)$/.test(e.tagName) && e.scrollWidth > e.clientWidth + 1 && getComputedStyle(e).display !== "inline"; // over what is beside it
    return box.width > 1 && (over || box.right > innerWidth + 1 || box.left < -1) && !e.closest(".scroll, .unseen, .skip, details:not([open])");
  });
  return wide.concat(out.slice(0, 5).map((e) => e.tagName.toLowerCase() + "." + e.className));
})()`

// barriers are what would keep somebody from using the page by ear or by keyboard.
const barriers = `(() => {
  const found = [];
  const shown = (e) => e.checkVisibility();
  const name = (e) => (e.getAttribute("aria-label") ?? (e.getAttribute("aria-labelledby") ?? "").split(" ").map((id) => document.getElementById(id)?.textContent ?? "").join(" ")).trim();
  for (const e of [...document.querySelectorAll("input, select, textarea")].filter(shown)) {
    if (!e.labels?.length || !e.labels[0].textContent.trim()) found.push("without a label: " + e.outerHTML);
  }
  for (const e of [...document.querySelectorAll("a, button, summary")].filter(shown)) {
    if (!e.textContent.trim() && !name(e)) found.push("without a name: " + e.outerHTML);
  }
  let level = 0;
  for (const e of [...document.querySelectorAll("h1, h2, h3, h4, h5, h6")].filter(shown)) {
    const at = Number(e.tagName[1]);
    if (at > level + 1) found.push("a heading of level " + at + " behind one of " + level + ": " + e.textContent);
    if (!e.textContent.trim()) found.push("an empty heading");
    level = at;
  }
  if (document.querySelectorAll("h1").length !== 1) found.push("not one h1");
  const ids = [...document.querySelectorAll("[id]")].map((e) => e.id);
  for (const id of new Set(ids.filter((id, i) => ids.indexOf(id) !== i))) found.push("an id twice: " + id);
  for (const e of document.querySelectorAll("[aria-labelledby], [for]")) {
    for (const id of (e.getAttribute("aria-labelledby") ?? e.getAttribute("for")).split(" ")) {
      if (!document.getElementById(id)) found.push("names what is not there: " + id);
    }
  }
  for (const e of document.querySelectorAll("section, nav, [role=region], progress, [role=img]")) {
    if (shown(e) && !name(e) && !e.closest("#user > .cards")) found.push("without a name: " + e.tagName + "." + e.className);
  }
  for (const e of document.querySelectorAll("table")) {
    if (!e.querySelector("th[scope=col]")) found.push("a table without headers: " + e.className);
  }
  for (const e of document.querySelectorAll("svg, canvas, .canvas")) {
    if (!e.closest("[aria-hidden=true]")) found.push("a drawing that is read out: " + e.outerHTML.slice(0, 80));
  }
  for (const tag of ["main", "header", "footer", "h1", "title"]) if (!document.querySelector(tag)) found.push("no " + tag);
  if (!document.documentElement.lang) found.push("no language");
  if (document.querySelector("[style]:not(.canvas *), body style, [onclick], main script")) found.push("inline style or script: " + document.querySelector("[style]:not(.canvas *), body style, [onclick], main script").outerHTML.slice(0, 120));
  for (const e of document.querySelectorAll("[tabindex]")) if (Number(e.getAttribute("tabindex")) > 0) found.push("an order of its own: " + e.outerHTML.slice(0, 80));
  return found;
})()`
