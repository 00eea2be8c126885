package browser_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/zim-presence/poller/browser/chrome"
	"github.com/zim-presence/poller/browser/fixture"
)

const app = 1234567890

// An event that is told becomes a row; the filter, the pause and the pointer do what
// they say; and none of it is read out.
func TestLive(t *testing.T) {
	t.Parallel()
	server, address := serve(t, fixture.Calm)
	b := newTab(t, address)
	b.open("")
	b.until(`document.querySelector("#live-state").textContent.startsWith("Nothing was told yet")`)
	b.until(`document.querySelector("#said").textContent === "Healthy and fresh"`)

	server.Tell(app, 3, "alice-")
	b.until(`document.querySelectorAll("#rows tr").length === 3`)
	b.has("#rows tr:first-child", "alice-3", "▼", "online → offline (timeout)", "12 ms")
	b.has("#rows tr:last-child", "alice-1", "▲", "offline → online")
	if said := ask[string](b, `document.querySelector("#said").textContent`); said != "Healthy and fresh" {
		t.Errorf("of three events is read out %q", said)
	}

	b.do(chromedp.SetValue(chromedp.CSS("#kind"), "offline"))
	ask[bool](b, `document.querySelector("#kind").dispatchEvent(new Event("change", { bubbles: true }))`)
	b.until(`document.querySelectorAll("#rows tr").length === 1`)
	b.has("#rows", "alice-3")
	ask[string](b, `(document.querySelector("#kind").value = "", document.querySelector("#who").focus(), "")`)
	b.press("bob\r")
	b.until(`document.querySelectorAll("#rows tr").length === 0`)
	server.Tell(app, 2, "alice-")
	server.Tell(app, 1, "bob")
	b.until(`document.querySelector("#rows").textContent.includes("bob")`)
	if n := ask[int](b, `document.querySelectorAll("#rows tr").length`); n != 1 {
		t.Errorf("%d rows of bob, want 1", n)
	}

	b.click("#pause")
	b.until(`document.querySelector("#said").textContent.includes("The live list is paused")`)
	server.Tell(app, 2, "bob")
	b.until(`document.querySelector("#live-state").textContent.includes("Paused; 2 are waiting")`)
	b.click("#pause")
	b.until(`document.querySelectorAll("#rows tr").length === 3`)

	// Who is about to click is not led astray.
	ask[string](b, `(document.querySelector("#rows a").focus(), "")`)
	server.Tell(app, 1, "bob")
	b.until(`document.querySelector("#live-state").textContent.includes("Held while you are in it; 1 is waiting")`)
	b.press("\r")
	b.until(`document.querySelector("#user h2")?.textContent === "User bob"`)
	b.until(`document.querySelector("#user .story")`)
}

// An id is text and nothing else, and what would not be seen in it is.
func TestIDsAreText(t *testing.T) {
	t.Parallel()
	server, address := serve(t, fixture.Long)
	b := newTab(t, address)
	b.open("")
	b.until(`document.querySelector("#live-state").textContent.startsWith("Nothing")`)
	const long = 4294967295
	ids := []string{`<img src=x onerror="document.title='pwned'">`, "a/b?c=#d&e%2F\"'\\", "שלום", strings.Repeat("w", 64)}
	for _, id := range ids {
		server.Tell(long, 1, id)
	}
	server.Tell(long, 1, " x  y\u202egnp.exe\u200b z ")
	b.until(`document.querySelectorAll("#rows tr").length === 5`)
	for i, id := range ids {
		got := ask[string](b, fmt.Sprintf(`document.querySelector("#rows tr:nth-child(%d) bdi").textContent`, 5-i))
		if got != id {
			t.Errorf("id %q is shown as %q", id, got)
		}
	}
	if got := b.text("#rows tr:first-child bdi"); got != "␣x␣␣yU+202Egnp.exeU+200B z␣" {
		t.Errorf("an id that turns the text is shown as %q", got)
	}
	if n := ask[int](b, `document.querySelectorAll("main img, main b, main script").length`); n > 0 {
		t.Errorf("%d elements were made of text", n)
	}
	// The way to the user and back keeps every byte.
	for i, id := range ids {
		ask[string](b, fmt.Sprintf(`(document.querySelector("#rows tr:nth-child(%d) a").click(), "")`, 5-i))
		b.until(`document.querySelector("#user .story")`)
		if got := ask[string](b, `document.querySelector("#user h2 bdi").textContent`); got != id {
			t.Errorf("the page of %q is of %q", id, got)
		}
		b.has("#user .story", id+" is online since")
		ask[string](b, `(history.back(), "")`)
		b.until(`document.querySelectorAll("#rows tr").length === 5`)
	}
}

// A thousand events a second: the page stays small and says what it does not show.
func TestFlood(t *testing.T) {
	server, address := serve(t, fixture.Million)
	b := newTab(t, address)
	b.open("")
	b.until(`document.querySelector("#live-state").textContent.startsWith("Nothing")`)
	ask[string](b, `(window.tasks = [], new PerformanceObserver((list) => tasks.push(...list.getEntries().map((e) => e.duration))).observe({ type: "longtask" }),
		window.frames_ = 0, (function count() { frames_++; requestAnimationFrame(count) })(),
		window.most = 0, new MutationObserver(() => most = Math.max(most, document.querySelectorAll("#rows tr").length)).observe(document.querySelector("#rows"), { childList: true }), "")`)
	before := ask[int](b, `document.querySelectorAll("*").length`)
	const told = 4000
	began := time.Now()
	for n := range told / 20 {
		time.Sleep(time.Until(began.Add(time.Duration(n) * 20 * time.Millisecond)))
		server.Tell(app, 20, "user-")
	}
	took := time.Since(began)
	b.until(fmt.Sprintf(`document.querySelector("#rows .seq")?.textContent === "%s"`, "4,000"))
	if most := ask[int](b, `most`); most > 100 {
		t.Errorf("%d rows at a time, want 100 at the most", most)
	}
	after := ask[int](b, `document.querySelectorAll("*").length`)
	if after > before+100*10 {
		t.Errorf("%d elements before, %d after", before, after)
	}
	b.has("#live-state", "The newest 100", "passed over")
	t.Logf("%d events in %v: %d frames, long tasks (ms) %v, %d elements", told, took.Round(time.Millisecond), ask[int](b, `frames_`), ask[[]float64](b, `tasks`), after)
}

// Nobody is asked while nobody looks.
func TestUnseen(t *testing.T) {
	t.Parallel()
	server, address := serve(t, fixture.Calm)
	b := newTab(t, address)
	b.open("")
	b.until(`document.querySelector("#live-state").textContent.startsWith("Nothing")`)
	hide := func(hidden bool) {
		ask[bool](b, fmt.Sprintf(`(Object.defineProperty(document, "hidden", { value: %t, configurable: true }), document.dispatchEvent(new Event("visibilitychange")))`, hidden))
	}
	hide(true)
	waitFor(t, "the live list is given up", func() bool { return server.Watching() == 0 })
	b.do(chromedp.Sleep(300 * time.Millisecond)) // what was on its way arrives
	asked := server.Asked()
	if err := b.Do(chromedp.Sleep(2500 * time.Millisecond)); err != nil { // longer than between two boards
		t.Fatal(err)
	}
	if again := server.Asked(); again != asked {
		t.Errorf("%d requests while hidden", again-asked)
	}
	server.Tell(app, 1, "alice")
	hide(false)
	b.until(`document.querySelector("#rows").textContent.includes("alice")`)
	waitFor(t, "the board is asked for again", func() bool { return server.Asked() > asked })
}

func waitFor(t *testing.T, what string, holds func() bool) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for !holds() {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// Without the poller the page says since when, is seen to be old, and comes back by
// itself.
func TestLost(t *testing.T) {
	t.Parallel()
	server, address := serve(t, fixture.Calm)
	b := newTab(t, address)
	b.open("")
	b.Expect("log: Failed to load resource")
	server.Down(true)
	server.Cut()
	b.until(`document.querySelector("#verdict .headline").textContent.includes("No connection since")`)
	b.has("#verdict", "cannot be reached", "“Healthy and fresh”", "may be wrong by now", "Ask now")
	b.until(`document.querySelector("#said").textContent.includes("No connection since")`)
	stood := b.text("#process")
	b.until(`/That has lasted ([3-9]|\d\d).s/.test(document.querySelector("#verdict").textContent)`)
	if now := b.text("#process"); now != stood {
		t.Errorf("without a connection time goes on: %q, and then %q", stood, now)
	}
	if !ask[bool](b, `document.documentElement.classList.contains("lost")`) || ask[string](b, `getComputedStyle(document.querySelector("#app")).filter`) == "none" {
		t.Error("what is old does not look it")
	}
	b.until(`document.querySelector("#live-state").textContent.startsWith("Not connected")`)
	if title := ask[string](b, `document.title`); !strings.Contains(title, "No connection") {
		t.Errorf("the title says %q", title)
	}
	server.Down(false)
	server.Show(fixture.Red)
	b.click("#verdict button")
	b.until(`document.querySelector("#verdict .headline").textContent.includes("Not ready: 2 checks are red")`)
	b.until(`document.querySelector("#said").textContent.includes("Not ready")`)
	b.until(`document.querySelector("#live-state").textContent.startsWith("Nothing")`)

	// And where it was never reached.
	server.Down(true)
	b.do(chromedp.Navigate(address + "/"))
	b.until(`document.querySelector("#verdict").textContent.includes("No answer")`)
	server.Down(false)
	b.until(`document.querySelector("#verdict").textContent.includes("Not ready")`)
}

// What cannot be known of a user is said in words.
func TestUserUnknown(t *testing.T) {
	t.Parallel()
	server, address := serve(t, fixture.Calm)
	b := newTab(t, address)
	b.Expect("log: Failed to load resource")
	b.Expect("answer 40")
	b.open("#/app/1234567890")
	b.click("#look-up")
	b.press("nobody\r")
	b.until(`document.querySelector("#user").textContent.includes("Nothing is known of this user")`)
	b.Expect("answer 503")
	b.open("#/app/1234567890/user/broken")
	b.until(`document.querySelector("#user .note.bad")?.textContent.includes("connection refused")`)
	if err := server.Hide(); err != nil {
		t.Fatal(err)
	}
	b.open("#/app/1234567890/user/alice")
	b.until(`document.querySelector("#user .note:not(.bad)")?.textContent.includes("http.hide_user_ids")`)
	b.open("#/app/1234567890")
	b.until(`document.querySelector("#cards").textContent.includes("User ids are hidden")`)
	server.Tell(app, 1, "alice")
	b.until(`document.querySelectorAll("#rows tr").length === 1`)
	if text, _ := chrome.Ask[string](b.Tab, `document.querySelector("#rows").innerHTML`); strings.Contains(text, "alice") || strings.Contains(text, "href") {
		t.Errorf("of a hidden user is shown %s", text)
	}
}

// Who takes the lease begins to show, and who loses it forgets, without a reload.
func TestTakeover(t *testing.T) {
	t.Parallel()
	server, address := serve(t, fixture.Calm)
	server.Show(fixture.Standby)
	b := newTab(t, address)
	b.open("")
	b.until(`document.querySelector(".card.lease").textContent.includes("Standby")`)
	if shown := ask[bool](b, `["#plots", "#live"].some((id) => document.querySelector(id).checkVisibility())`); shown {
		t.Error("what this process does not know is shown empty")
	}
	server.Show(fixture.Calm)
	b.until(`document.querySelectorAll("canvas").length === 4 && document.querySelector("#plots").checkVisibility()`)
	b.until(`document.querySelector("#live-state").textContent.startsWith("Nothing was told yet")`)
	server.Tell(app, 2, "alice-")
	b.until(`document.querySelectorAll("#rows tr").length === 2`)
	server.Show(fixture.Standby)
	b.until(`!document.querySelector("#live").checkVisibility() && document.querySelectorAll("#rows tr").length === 0`)
	waitFor(t, "the live list is given up", func() bool { return server.Watching() == 0 })
}
