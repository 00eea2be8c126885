// Package chrome drives a headless Chromium, and notes what goes wrong in it: errors
// on the console, exceptions, answers that are errors, breaches of the content
// security policy, and requests to anywhere but the page's own server.
package chrome

import (
	"context"
	"fmt"

	"github.com/chromedp/chromedp"
)

// Open starts a browser whose profile is in an empty directory. The context is what
// tabs are opened with; close ends the browser.
func Open(ctx context.Context, dir string) (browser context.Context, closed func(), err error) {
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.UserDataDir(dir), chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.Flag("disable-quic", true),
		chromedp.Flag("disable-component-update", true),
		chromedp.Flag("hide-scrollbars", true),
		chromedp.Flag("font-render-hinting", "none"),
	)
	allocator, endAllocator := chromedp.NewExecAllocator(ctx, options...)
	browser, endBrowser := chromedp.NewContext(allocator)
	closed = func() {
		endBrowser()
		endAllocator()
	}
	if err := chromedp.Do(browser); err != nil {
		closed()
		return nil, nil, fmt.Errorf("start chromium: %w", err)
	}
	return browser, closed, nil
}
