package chrome

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// patience is how long is waited for something that must come.
const patience = 30 * time.Second

// Tab is a tab without the cookies and the storage of any other. One goroutine uses
// it; what it notes is noted by another.
type Tab struct {
	tab  context.Context // of chromedp, which keeps the tab in it
	host string

	mu       sync.Mutex // guards all below
	faults   []string
	requests []string
	expected []string
}

// NewTab opens a tab for the page at an address; close ends it.
func NewTab(browser context.Context, address string) (*Tab, func(), error) {
	at, err := url.Parse(address)
	if err != nil {
		return nil, nil, err
	}
	ctx, end := chromedp.NewContext(browser, chromedp.WithNewBrowserContext())
	t := &Tab{tab: ctx, host: at.Host}
	err = chromedp.Listen(ctx, t.hear)
	if err == nil {
		err = chromedp.Do(ctx,
			call(network.Enable, network.EnableParams{}),
			call(log.Enable, cdp.Empty{}))
	}
	if err != nil {
		end()
		return nil, nil, fmt.Errorf("open a tab: %w", err)
	}
	return t, end, nil
}

func call[P, R any](command cdp.Command[P, R], params P) chromedp.Action[chromedp.Void] {
	return chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, command, params)
		return err
	})
}

// Do does what is asked for, in order.
func (t *Tab) Do(steps ...chromedp.Action[chromedp.Void]) error {
	ctx, cancel := context.WithTimeout(t.tab, patience)
	defer cancel()
	return chromedp.Do(ctx, steps...)
}

// Ask returns the value of an expression of JavaScript, or of what it promises.
func Ask[T any](t *Tab, expression string) (T, error) {
	ctx, cancel := context.WithTimeout(t.tab, patience)
	defer cancel()
	value, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
	if err != nil {
		return value, fmt.Errorf("%s: %w", expression, err)
	}
	return value, nil
}

// Until waits until an expression is true.
func (t *Tab) Until(expression string) error {
	ctx, cancel := context.WithTimeout(t.tab, patience)
	defer cancel()
	_, err := chromedp.Run(ctx, chromedp.Poll[chromedp.Void](expression, chromedp.WithPollingInterval(25*time.Millisecond), chromedp.WithPollingTimeout(patience)))
	if err != nil {
		return fmt.Errorf("wait for %s: %w", expression, err)
	}
	return nil
}

// Size sets the size of what is seen.
func Size(width, height int64, options ...chromedp.EmulateViewportOption) chromedp.Action[chromedp.Void] {
	return chromedp.EmulateViewport(width, height, options...)
}

// System sets what the system prefers, such as dark.
func System(theme string, calm bool) chromedp.Action[chromedp.Void] {
	motion := "no-preference"
	if calm {
		motion = "reduce"
	}
	return call(emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{
		{Name: "prefers-color-scheme", Value: theme}, {Name: "prefers-reduced-motion", Value: motion},
	}})
}

// Expect names a part of faults that are meant to be: from now on they are not noted.
func (t *Tab) Expect(part string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.expected = append(t.expected, part)
}

// Faults are what went wrong so far.
func (t *Tab) Faults() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return append([]string(nil), t.faults...)
}

// Requests are the addresses that were asked for so far.
func (t *Tab) Requests() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return append([]string(nil), t.requests...)
}

// hear notes an event of the tab. It runs in the loop that reads from the browser, and
// so must not ask it anything.
func (t *Tab) hear(event any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch e := event.(type) {
	case *runtime.EventConsoleAPICalled:
		switch e.Type {
		case runtime.ConsoleAPICalledTypeError, runtime.ConsoleAPICalledTypeWarning, runtime.ConsoleAPICalledTypeAssert:
			t.note("console: %s", arguments(e.Args))
		}
	case *runtime.EventExceptionThrown:
		text := e.ExceptionDetails.Text
		if e.ExceptionDetails.Exception != nil {
			text += " " + e.ExceptionDetails.Exception.Description
		}
		t.note("exception: %s", text)
	case *log.EventEntryAdded:
		if e.Entry.Level == log.EntryLevelError || e.Entry.Level == log.EntryLevelWarning {
			t.note("log: %s %s", e.Entry.Text, e.Entry.URL)
		}
	case *network.EventRequestWillBeSent:
		t.requests = append(t.requests, e.Request.URL)
		if at, err := url.Parse(e.Request.URL); err != nil || at.Host != t.host && at.Scheme != "data" {
			t.note("request to another host: %s", e.Request.URL)
		}
	case *network.EventWebSocketCreated:
		t.note("web socket: %s", e.URL)
	case *network.EventResponseReceived:
		if e.Response.Status >= 400 {
			t.note("answer %d: %s", e.Response.Status, e.Response.URL)
		}
	}
}

// note is called with the lock held.
func (t *Tab) note(format string, args ...any) {
	fault := fmt.Sprintf(format, args...)
	for _, part := range t.expected {
		if strings.Contains(fault, part) {
			return
		}
	}
	t.faults = append(t.faults, fault)
}

func arguments(args []*runtime.RemoteObject) string {
	var texts []string
	for _, a := range args {
		texts = append(texts, string(a.Value)+a.Description)
	}
	return strings.Join(texts, " ")
}

// Seen returns a picture of what is seen without scrolling, as PNG.
func (t *Tab) Seen() ([]byte, error) {
	ctx, cancel := context.WithTimeout(t.tab, patience)
	defer cancel()
	return chromedp.Run(ctx, chromedp.CaptureScreenshot())
}

// Shot returns a picture of the whole page, as PNG.
func (t *Tab) Shot() ([]byte, error) {
	ctx, cancel := context.WithTimeout(t.tab, patience)
	defer cancel()
	return chromedp.Run(ctx, chromedp.FullScreenshot(100))
}
