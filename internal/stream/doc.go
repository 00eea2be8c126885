// Package stream is the door to JetStream: it makes and checks the streams of
// one app, reads the end of the event stream and appends events behind it.
//
// It imports package presence, nats.go, zerolog and the standard library.
//
// What it stores, per app:
//
//   - PRESENCE_<app>: the events, subjects presence.v1.<app>.<kind>.<user>,
//     headers Nats-Msg-Id, Presence-Seq and Content-Type.
//   - KV_presence_<app>: the last event of each user. The server derives it from
//     the event stream; clients read it as the key-value bucket presence_<app>,
//     keys as presence.EncodeUser writes them. Nobody writes to it.
//   - PRESENCE_CONTROL_<app>: sweeps, incidents, leases, and which events were erased,
//     subjects presence.control.v1.<app>.<word>. It is made with the first of them.
//   - PRESENCE_REPLAY_<app>_<name>: one replay, subjects
//     presence.replay.<name>.<app>.<kind>.<user>, and headers that say its name and
//     the message's position, which is its sequence number here.
//
// The invariants:
//
//   - The stream is its own cursor. Nothing is remembered here between two calls.
//   - Every event is stored behind a named last sequence or not at all, so the
//     stream stays a prefix of the ledger whoever publishes: a message that was
//     given up and arrives late is either the right next one or refused.
//   - What stands is never altered, and is judged by the configuration that the
//     server returns, never by the one that was asked for: a server silently
//     drops options that it does not know.
//   - No goroutine is started here; all waits are bounded.
//
// Only features of NATS 2.10 and older are used.
package stream
