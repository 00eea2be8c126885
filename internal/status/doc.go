// Package status tells what the process is doing, over HTTP: metrics for
// Prometheus, the probes of liveness and readiness, and why it believes what it
// does of a user. It imports presence and takes plain values; whoever wires the
// program brings them.
//
//	App     → Metrics → /metrics
//	Checks  → judged once a second by Checks.Run → log, /healthz
//	        → judged at each probe               → /readyz
//	Explain → asked at each request              → /explain
//
// The invariants that it keeps:
//
//   - The number of series follows from the number of apps alone: every label
//     is a word of a small fixed set, what is not in it is "other". All series
//     of an app exist from its first mention, at 0.
//   - Nothing is ready by default: a process without a check is not, and neither
//     is an expected check that has not reported.
//   - /healthz depends on the checks being judged, not on the web server: a lock
//     that is never released turns it red. It depends on no check: what is wrong
//     outside no new start mends.
//   - No client, however slow, holds up the end of the process.
//   - Nothing can be changed over HTTP, and no answer holds a secret. So any Host
//     is answered: in a cluster the server has many names, and a web page that
//     has a browser read it by a name of its own (DNS rebinding) learns counts.
//     /explain tells of persons, and wants a header that no page can send.
package status
