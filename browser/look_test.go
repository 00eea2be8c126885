package browser_test

import (
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/zim-presence/poller/browser/chrome"
	"github.com/zim-presence/poller/browser/fixture"
)

// The theme follows the system until one is chosen, which is kept; the plots are drawn
// again in its colours.
func TestTheme(t *testing.T) {
	t.Parallel()
	_, address := serve(t, fixture.Calm)
	b := newTab(t, address)
	b.Expect("log: Canvas2D") // the test reads what is drawn, which the page never does
	b.do(chrome.System("dark", false))
	b.open("")
	b.until(`document.querySelectorAll("canvas").length === 4`)
	theme := func(want string) {
		t.Helper()
		b.until(fmt.Sprintf(`document.documentElement.dataset.theme === %q`, want))
	}
	drawn := func(want string) { // the colour of the newest line
		t.Helper()
		b.until(fmt.Sprintf(`(() => {
			const canvas = document.querySelector("canvas"), all = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
			const want = getComputedStyle(document.documentElement).getPropertyValue("--plot-1").trim();
			if (want !== %q) return false;
			const [r, g, b] = [1, 3, 5].map((i) => parseInt(want.slice(i, i + 2), 16));
			for (let i = 0; i < all.length; i += 4) if (all[i] === r && all[i + 1] === g && all[i + 2] === b && all[i + 3] === 255) return true;
			return false;
		})()`, want))
	}
	theme("dark")
	drawn("#5fcf80")
	b.do(chrome.System("light", false))
	theme("light")
	drawn("#19722f")
	choose := func(value string) {
		ask[bool](b, fmt.Sprintf(`(document.querySelector("#theme").value = %q, document.querySelector("#theme").dispatchEvent(new Event("change")))`, value))
	}
	choose("dark")
	theme("dark")
	drawn("#5fcf80")
	b.open("")
	theme("dark")
	if value := ask[string](b, `document.querySelector("#theme").value`); value != "dark" {
		t.Errorf("after a reload the choice is %q", value)
	}
	choose("system")
	theme("light")
}

// Everything that can be done can be done by keyboard, and it is seen where one is.
func TestKeyboard(t *testing.T) {
	t.Parallel()
	server, address := serve(t, fixture.Fleet)
	b := newTab(t, address)
	b.do(chrome.Size(1280, 900))
	b.open("#/app/1000000000")
	b.until(`!document.querySelector("#plots").hidden`)
	server.Tell(1_000_000_000, 3, "user-")
	b.until(`document.querySelectorAll("#rows tr").length === 3`)

	b.press(kb.Tab)
	if at := ask[string](b, `document.activeElement.textContent`); at != "Skip to the content" {
		t.Errorf("the first thing by keyboard is %q", at)
	}
	if top := ask[float64](b, `document.activeElement.getBoundingClientRect().top`); top < 0 {
		t.Error("the way past the header is not seen where it has the focus")
	}
	b.press("\r")
	if at := ask[string](b, `document.activeElement.id + location.hash`); at != "main#/app/1000000000" {
		t.Errorf("behind it is %q", at)
	}

	// From the top through all of it.
	b.do(chromedp.Navigate("about:blank"))
	b.open("#/app/1000000000")
	b.until(`!document.querySelector("#plots").hidden && document.querySelectorAll("#rows tr").length === 3`)
	ask[string](b, `(window.reached = new Set(), document.addEventListener("focusin", (e) => {
		const style = getComputedStyle(e.target);
		const seen = style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2 && e.target.getBoundingClientRect().height > 0;
		reached.add(e.target);
		if (!seen) (window.unseen ??= []).push(e.target.outerHTML.slice(0, 120));
	}), "")`)
	want := ask[int](b, `[...document.querySelectorAll("a, button, input, select, summary")].filter((e) => e.checkVisibility()).length`)
	for range want + 10 {
		b.press(kb.Tab)
	}
	missed := ask[[]string](b, `[...document.querySelectorAll("a, button, input, select, summary")].filter((e) => e.checkVisibility() && !reached.has(e) && !(e.type === "radio" && !e.checked)).map((e) => e.outerHTML.slice(0, 120))`)
	if len(missed) > 0 {
		t.Errorf("not reached by keyboard: %q", missed)
	}
	if unseen := ask[[]string](b, `window.unseen ?? []`); len(unseen) > 0 {
		t.Errorf("the focus is not seen on %q", unseen)
	}

	// What is drawn anew leaves it where it is.
	ask[string](b, `(document.querySelector("#look-up").focus(), "")`)
	b.press("ali")
	asked := server.Asked()
	waitFor(t, "two more boards", func() bool { return server.Asked() > asked+2 })
	b.press("ce\r")
	b.until(`document.querySelector("#user h2")?.textContent === "User alice"`)
	if at := ask[string](b, `document.activeElement.id`); at != "main" {
		t.Errorf("on a new place of the page the focus is on %q", at)
	}
	ask[string](b, `(document.querySelector(".back a").focus(), "")`)
	b.press("\r")
	b.until(`document.querySelector("#user").hidden`)
	ask[string](b, `(document.querySelector("#find-app").focus(), "")`)
	b.press("red")
	b.until(`document.querySelectorAll("#apps li").length === 1`)
	if at := ask[string](b, `document.activeElement.id`); at != "find-app" {
		t.Errorf("while looking for an app the focus went to %q", at)
	}
}

// Each text can be read on each ground that it stands on: 4.5 to 1, and 3 to 1 for what
// is not text.
func TestContrast(t *testing.T) {
	t.Parallel()
	_, address := serve(t, fixture.Calm)
	b := newTab(t, address)
	b.open("")
	for _, theme := range []string{"light", "dark"} {
		b.do(chrome.System(theme, false))
		b.until(fmt.Sprintf(`document.documentElement.dataset.theme === %q`, theme))
		color := func(name string) [3]float64 {
			return rgb(t, ask[string](b, fmt.Sprintf(`getComputedStyle(document.documentElement).getPropertyValue("--%s").trim()`, name)))
		}
		check := func(least float64, inks, grounds string) {
			for ink := range strings.FieldsSeq(inks) {
				for ground := range strings.FieldsSeq(grounds) {
					if got := contrast(color(ink), color(ground)); got < least {
						t.Errorf("%s: %s on %s has a contrast of %.2f, want %.1f", theme, ink, ground, got, least)
					}
				}
			}
		}
		check(4.5, "text quiet link", "ground card ok-ground look-ground bad-ground idle-ground")
		check(4.5, "ok look bad idle", "ground card")
		check(4.5, "ok", "ok-ground")
		check(4.5, "look", "look-ground")
		check(4.5, "bad", "bad-ground")
		check(4.5, "idle", "idle-ground")
		check(3, "edge focus", "ground card")
		check(3, "plot-1 plot-2 plot-3 plot-4 online", "card")
		check(2.5, "offline unknown", "card") // their text is beside them
	}
}

func rgb(t *testing.T, hex string) (c [3]float64) {
	t.Helper()
	if !regexp.MustCompile(`^#[0-9a-f]{6}$`).MatchString(hex) {
		t.Fatalf("%q is no colour", hex)
	}
	for i := range c {
		n, err := strconv.ParseUint(hex[1+2*i:3+2*i], 16, 8)
		if err != nil {
			t.Fatal(err)
		}
		c[i] = float64(n) / 255
	}
	return c
}

// contrast is that of WCAG 2.
func contrast(a, b [3]float64) float64 {
	luminance := func(c [3]float64) float64 {
		for i, v := range c {
			if v <= 0.04045 {
				c[i] = v / 12.92
			} else {
				c[i] = math.Pow((v+0.055)/1.055, 2.4)
			}
		}
		return 0.2126*c[0] + 0.7152*c[1] + 0.0722*c[2]
	}
	la, lb := luminance(a), luminance(b)
	return (math.Max(la, lb) + 0.05) / (math.Min(la, lb) + 0.05)
}
