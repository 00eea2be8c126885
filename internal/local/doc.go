// Package local runs a private Postgres and an embedded NATS server under a data directory, for a first
// day, a small shop, the demo and the tests.
//
// It imports no other room. Only cmd/poller and tests import it.
//
// What it keeps, under the directory that it is given:
//
//	postgres/       the data of Postgres, owned by the account that Postgres runs as
//	postgres.lock   held (flock) by the process that runs Postgres; holds its pid
//	postgres.dsn    the DSN of the running Postgres, present while it can be used
//	nats/           the JetStream store
//	nats.lock       held by the process that runs NATS; holds its pid
//	nats.url        the URL of the running NATS, present while it can be used
//
// Invariants:
//
//   - One process runs each part; whoever comes second uses the running one, and may take it over when that
//     process has ended. The lock is the kernel's, so it cannot outlive its holder.
//   - Postgres listens on a Unix socket in a directory of mode 0700 and on no network: the file system
//     decides who may connect, so that the server need not ask for a password.
//   - Postgres never runs as root, and on Linux it dies with the process that started it. On other systems
//     the next start stops what was left behind.
//   - A kill -9 at any moment leaves a directory that starts again. Unless Throwaway was asked for, what
//     was committed or acknowledged is still there.
//   - Close waits until the part has stopped.
package local
