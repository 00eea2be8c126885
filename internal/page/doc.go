// Package page is the status page: what this process and each app of its
// configuration are at, for a person with a browser. It serves what a page is made
// of, the files that are embedded and the JSON that they ask for, and imports
// presence alone.
//
//	rooms ─→ cmd/poller ─→ Board ──────→ /api/board
//	              ├─→ samples ─→ history → /api/history
//	              └─→ events ──→ hub ────→ /api/transitions
//
// The invariants that it keeps:
//
//   - Nobody who polls or tells ever waits for a browser.
//   - Memory is bounded, whatever the number of browsers, users and events.
//   - It only looks: no request changes anything.
package page
