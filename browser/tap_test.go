package browser_test

import (
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
