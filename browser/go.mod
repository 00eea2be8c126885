module github.com/zim-presence/poller/browser

go 1.26.0

replace github.com/zim-presence/poller => ../

require (
	github.com/chromedp/cdproto v0.159.0
	github.com/chromedp/chromedp v0.23.0
	github.com/zim-presence/poller v0.0.0-00010101000000-000000000000
)

require github.com/go-json-experiment/json v1.27.2 // indirect
