package localtest

import "go.uber.org/goleak"

// ServerLeaks makes goleak pass over what an embedded NATS server of version
// 2.15 leaves behind when it is shut down while a stream attaches to its source:
// a goroutine that waits for an answer for up to half a minute.
func ServerLeaks() goleak.Option {
	return goleak.IgnoreAnyFunction("github.com/nats-io/nats-server/v2/server.(*stream).trySetupSourceConsumer.func3")
}
