// Package replay is the corridor that tells a named range of the past again, on
// subjects of its own. It imports presence and package past, and declares what it
// needs of the ledger and of the stream.
package replay
