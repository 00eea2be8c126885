// Package zimsim is a simulated ZIM: the endpoint that answers QueryUserOnlineState, a population that comes and
// goes behind it, faults, books of every request, and an HTTP interface to steer it. It is written from the ZIM
// server API's description alone and bends to no client: whatever the description forbids is refused, whatever it
// leaves open is a choice in Unsettled.
//
// It imports the standard library only. cmd/poller and the tests of any package may import it.
//
// # Invariants
//
//   - A request counts as arrived, for the books and for the rate, before anything about it is judged and whatever
//     becomes of it. Arrival is the moment in which the gateway is entered: the request's header has been read. One
//     whose AppId names no app has no books to go to and is counted as a stranger.
//   - The rate is a sliding, half-open second of the server's monotonic clock: a request is over the limit when it
//     is not among the first limit arrivals of the second that ends with it. Refused requests count.
//   - All users of one request are looked up at one instant, under the lock under which they change. So whoever asked
//     before and after a change of the history gets answers that differ accordingly, and the change's At lies between.
//   - The history holds what became visible in answers and nothing else: a phone that dies is a change 35 s later.
//   - Everything drawn depends on the seed and on a place (user, or app and arrival number), never on scheduling.
//
// # Control interface
//
// JSON in and out; keys that do not exist are refused; errors are status 400 with {"error": "…"}. Where a request is
// about one app, ?app= names it, and may be left out while there is only one. A state is "online", "timeout" (answers
// say Offline) or "logged_out" (ErrorList).
//
//	GET    /truth              {"at": "…", "users": {"a": "online", …}}, everybody at one instant
//	GET    /truth?user=a       {"user": "a", "state": "timeout", "status": "offline", "detail": "timeout", "known": true}
//	GET    /changes?since=7    {"changes": [{"seq": 8, "user": "a", "at": "…", "from": "online", "to": "timeout",
//	                           "detail": "timeout"}, …], "dropped": 0}: visible changes numbered above since; dropped
//	                           is how many of the first are no longer kept
//	PUT    /users/{id}         {"state": "online"}: visible now; the id path-escaped. {"at": "…", "users": 1}
//	POST   /users              {"a": "online", "b": "logged_out"}: all at one instant, or none
//	GET    /faults             the faults that can still strike
//	PUT    /faults             these instead: [{"kind": "slow", "delay": "2s", "probability": 0.1, "count": 5}], one
//	                           such object, or {"faults": "slow:2s@0.1x5,hangx1"} as for ParseFaults
//	POST   /faults             these too
//	DELETE /faults             no more; with ?kind= (repeatable) none of these. Lets go of requests that hang
//	GET    /stats              the books, as Stats
//	GET    /arrivals?since=0   {"first": 0, "offsets_ns": [ … ]}: arrival times since the server's start
//	GET    /rate               {"rate": 20}; -1 is no limit
//	PUT    /rate               {"rate": 5}
//	GET    /clock              {"now": "…", "skew": "0s"}; now is the true time
//	PUT    /clock              {"skew": "-11m"}: moves Date and the judgement of Timestamp
//	GET    /callbacks          {"url": "http://127.0.0.1:8087/zim/callback", "lost": 0, …, "stats": {"called": 7, …}}
//	PUT    /callbacks          {"url": "…", "secret": "…", "lost": 0.1, "late": 0.1, "late_by": 5000000000, "doubled": 0.1,
//	                           "forged": 0.1, "reordered": 0.1}: ZIM calls back of the changes from now on, and what goes
//	                           wrong with that; url and secret stay where they are left out
//	GET    /apps               {"apps": [12345], "strangers": 0}
//	POST   /apps               {"app": 12345, "secret": "…", "rate": 20, "living": {"users": 1000, "speed": 60}};
//	                           without living the population is scripted
package zimsim
