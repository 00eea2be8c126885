// Package chaos does to the whole program what happens in a year of production,
// in minutes, and proves that nothing was lost, doubled or reordered. It is a
// test alone; this file says how to use it.
//
//	make chaos                       30 minutes, a seed of its own
//	make chaos CHAOS_FOR=5m SEED=42  as long, and with the faults, that you say
//	go test ./internal/chaos         a minute of it, as every run of all tests does
//
// The world is three daemons as processes, five apps that they share, a Postgres,
// a NATS server as a process that syncs always, and a simulated ZIM as a process.
// Each daemon reaches each of the three through a proxy of its own. One of the
// daemons reaches Postgres as if through a pooler: it cannot name its session.
// Requests are counted at the daemons' own connections, at the times that the
// kernel says: a crowded machine cannot make a second look fuller than it was.
//
// Two things are made harder than they are: ZIM refuses nobody for haste, and most
// of the streams are made with hardly any window for duplicates, since either
// would hide that the first defence is broken.
//
//	daemon 0..2 ──proxy──→ Postgres
//	            ──proxy──→ NATS ──→ a subscriber for each app
//	            ──proxy──→ ZIM  ←── users come and go
//
// Users flip all the time, rows come to the watchlist and go from it, and lists
// are reloaded as a whole, while the plan strikes: kill -9, SIGTERM, SIGSTOP, SIGHUP
// with another configuration; the
// last commit, or the last events, of a daemon that has died delivered when others
// have long gone on; connections cut, refused, stalled; servers killed, restarted,
// stopped; Postgres read-only, its sessions terminated, a row locked by a
// stranger; every fault of ZIM. Storms, in which faults overlap, take turns with
// single faults, which show what a takeover takes when nothing else is broken.
//
// The seed draws the plan: which fault, when, on whom, for how long. What comes of
// it also depends on the moment, so that the same seed need not break the same
// thing twice.
//
// At the end everything is put right, everybody holds still, and package audit
// looks at every app, also whether each change was in the interval that its event
// names. What the subscribers heard along the way is held against
// the promise too. A failure prints what was found first, the seed, and the last
// lines of each daemon's log. Times are reported and not judged: a slow machine
// makes no difference.
//
// # The past
//
//	make past                       both of the following, 5 minutes each
//	make past PAST_FOR=1m SEED=42   as long, and with the seed, that you say
//
// TestDay records a day of users who come and go by themselves, at a speed that
// makes it some seconds long, with faults of ZIM, users added and removed, a kill
// -9 and a restart in it. Then it asks who was online at 1,000 random times, and
// holds the answers against the truth; what is promised of them, and so judged, is
// said at lives.since. It has the day told again to consumers who have nothing, who
// must end with what the one has who listened all day; and poller verify must find
// nothing.
//
// TestLateSubscribers lets 200 subscribers join by package follow at random moments,
// while users flip, and two daemons and the NATS server are killed and restarted.
// Each must begin with what the ledger says of its moment, hear each event behind it
// once and in order, and end with the truth.
package chaos
