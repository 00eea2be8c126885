// Package browser_test looks at the status page in a real Chromium: at boards that are
// made up, and at the real program.
package browser_test

import (
	"context"
	"fmt"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/zim-presence/poller/browser/chrome"
	"github.com/zim-presence/poller/browser/fixture"
	"github.com/zim-presence/poller/internal/page"
)

// chromium is the one browser of all tests; each has tabs of its own.
var chromium context.Context

func TestMain(m *testing.M) {
	code, err := inChromium(m.Run)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func inChromium(run func() int) (int, error) {
	dir, err := os.MkdirTemp("", "poller-browser-")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	browser, closed, err := chrome.Open(context.Background(), dir)
	if err != nil {
		return 0, err
	}
	defer closed()
	chromium = browser //nolint:fatcontext // the tab of each test is a context in it
	return run(), nil
}

// tab is a tab that fails its test at once.
type tab struct {
	*chrome.Tab
	t       *testing.T
	address string
}

// newTab opens one for the page at an address. The test fails if anything goes wrong
// in it.
func newTab(t *testing.T, address string) *tab {
	t.Helper()
	it, closed, err := chrome.NewTab(chromium, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for _, fault := range it.Faults() {
			t.Errorf("in the browser: %s", fault)
		}
		closed()
	})
	return &tab{it, t, address}
}

// open opens a place of the page, and waits until the board is there.
func (b *tab) open(place string) {
	b.t.Helper()
	b.do(chromedp.Navigate(b.address + "/" + place))
	b.until(`document.querySelector("#verdict .headline")`)
}

func (b *tab) do(steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	if err := b.Do(steps...); err != nil {
		b.t.Fatal(err)
	}
}

// until waits until an expression is true, and says what is on the page if it never is.
func (b *tab) until(expression string) {
	b.t.Helper()
	if err := b.Until(expression); err != nil {
		text, _ := chrome.Ask[string](b.Tab, `document.body.innerText`)
		b.t.Fatalf("%v\non the page:\n%s\nfaults: %q", err, text, b.Faults())
	}
}

// ask returns the value of an expression.
func ask[T any](b *tab, expression string) T {
	b.t.Helper()
	value, err := chrome.Ask[T](b.Tab, expression)
	if err != nil {
		b.t.Fatal(err)
	}
	return value
}

// text is what is seen within an element, or nothing.
func (b *tab) text(selector string) string {
	b.t.Helper()
	text := ask[string](b, fmt.Sprintf(`(() => { const e = document.querySelector(%q); return e?.checkVisibility() ? e.innerText : "" })()`, selector))
	return strings.ReplaceAll(text, "\u00a0", " ")
}

// has fails unless the text within an element has each of the parts.
func (b *tab) has(selector string, parts ...string) {
	b.t.Helper()
	text := b.text(selector)
	for _, part := range parts {
		if !strings.Contains(text, part) {
			b.t.Errorf("%s says\n%s\nwant in it: %q", selector, text, part)
		}
	}
}

// press presses keys, and click clicks as a mouse does.
func (b *tab) press(keys string, options ...chromedp.KeyOption) {
	b.t.Helper()
	b.do(chromedp.KeyEvent(keys, options...))
}

func (b *tab) click(selector string) {
	b.t.Helper()
	b.do(chromedp.Click(chromedp.CSS(selector)))
}

// serve serves a made-up poller.
func serve(t *testing.T, scene func(time.Time) page.Board) (*fixture.Server, string) {
	t.Helper()
	s, err := fixture.New(scene)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(s)
	t.Cleanup(func() {
		s.Close()
		server.CloseClientConnections()
		server.Close()
	})
	return s, server.URL
}
