package ledger

import (
	"context"
	"fmt"
)

// partitionsAhead is how many days beyond today have a partition.
const partitionsAhead = 7

// EnsurePartitions makes the ledger's partitions of today and of the next seven
// days by the database's clock, as far as they are missing. Each is made aside
// and then attached, which locks out nobody who reads or writes the ledger.
// Programs that call it at once wait for each other, unless nothing is missing.
// A lock that it does not get within three seconds is an error. It is a function
// of the database that runs in its owner's name: who makes a partition has to own the
// table, and a poller need not.
func (l *Ledger) EnsurePartitions(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	if _, err := l.pool.Exec(ctx, `select ensure_partitions($1)`, partitionsAhead); err != nil {
		return fmt.Errorf("make partitions of the ledger: %w", err)
	}
	return nil
}
