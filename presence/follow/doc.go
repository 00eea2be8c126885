// Package follow reads the presence of an app's users as the poller tells it:
// the current state first, and then every event, without a hole between the two.
// It is for programs that consume the events. It imports presence, nats.go and
// the standard library.
package follow
