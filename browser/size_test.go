package browser_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/zim-presence/poller/browser/chrome"
	"github.com/zim-presence/poller/browser/fixture"
)

// What is pressed with a finger is large enough for it: 24 pixels where it stands in a
// text, and 40 where it does not.
func TestTap(t *testing.T) {
	t.Parallel()
	server, address := serve(t, fixture.Few)
	b := newTab(t, address)
	b.do(chrome.Size(360, 740, chromedp.EmulateMobile, chromedp.EmulateTouch))
	b.open("#/app/1234567890")
	b.until(settled)
	server.Tell(1234567890, 3, "user-")
	b.until(`document.querySelectorAll("#rows tr").length === 3`)
	small := func(place string) {
		t.Helper()
		if found := ask[[]string](b, tooSmall); len(found) > 0 {
			t.Errorf("%s: too small for a finger: %s", place, strings.Join(found, ", "))
		}
	}
	small("an app")
	b.open("#/app/1234567890/user/alice")
	b.until(`document.querySelector("#user .story")`)
	small("a user")
}

const tooSmall = `[...document.querySelectorAll("a, button, input, select, summary")].filter((e) => e.checkVisibility() && !e.closest(".skip")).flatMap((e) => {
  const box = (e.type === "radio" ? e.closest("label") : e).getBoundingClientRect();
  const least = e.closest("td, .reasons, .bar > p, .brand, .note") ? 24 : 40;
  return box.height < least || box.width < 24 ? [e.outerHTML.slice(0, 80) + " " + Math.round(box.width) + "x" + Math.round(box.height)] : [];
})`

// With letters twice as large nothing is lost: what stands side by side stands below
// each other then, and the list keeps room for its users.
func TestLargeText(t *testing.T) {
	t.Parallel()
	server, address := serve(t, fixture.Few)
	b := newTab(t, address)
	b.do(chrome.Size(1280, 900))
	b.open("#/app/1234567890")
	b.until(settled)
	server.Tell(1234567890, 3, strings.Repeat("w", 63)+"-")
	b.until(`document.querySelectorAll("#rows tr").length === 3`)
	look := func(place, text string) {
		t.Helper()
		ask[string](b, `(document.documentElement.style.fontSize = "200%", document.querySelectorAll("details").forEach((e) => e.open = true), "")`)
		for _, width := range []int64{768, 1280} {
			b.do(chrome.Size(width, 900))
			if out := ask[[]string](b, sticksOut); len(out) > 0 {
				t.Errorf("%s at %d px: these stick out: %s", place, width, strings.Join(out, ", "))
			}
			if room := ask[float64](b, fmt.Sprintf(`document.querySelector(%q).getBoundingClientRect().width`, text)); room < 200 {
				t.Errorf("%s at %d px: %v px for a text that matters", place, width, room)
			}
		}
	}
	look("an app", "#rows .who")
	b.open("#/app/1234567890/user/alice")
	b.until(`document.querySelector("#user .story")`)
	look("a user", "#user .card dd")
}
