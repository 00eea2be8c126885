// Package callback is the door for ZIM's login and logout callbacks. It checks their
// signatures and passes on who is said to have come or gone, as a hint whom to ask
// about next. It imports the standard library alone.
//
//	POST ─→ signature ─→ user ids ─→ hint
//
// The invariant that it keeps: a callback decides nothing. Lost, late, doubled and
// forged ones change only when somebody is asked about.
package callback
