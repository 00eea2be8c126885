// Package localtest gives tests a real Postgres and a real NATS server.
//
// It imports testing and package local; tests of any room may import it. It fails a test, and never skips
// it, when there is no Postgres to start.
//
// One throwaway Postgres serves all tests of a test process; each test gets its own database in it. It is
// started on first use and dies with the process, however that ends (on Linux; elsewhere use Main). What a
// process leaves in the temporary directory is removed by the next one.
package localtest
