package local

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// HasNATS is [HasPostgres] for the embedded NATS server.
func HasNATS(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, "nats"))
	return !errors.Is(err, fs.ErrNotExist)
}

// FindPostgres returns the version of the Postgres that a private one would be made
// with. A [*MissingError] says that none is installed that will do.
func FindPostgres(ctx context.Context) (major int, err error) {
	p, err := findPrograms(ctx, searchPath(ctx), 0)
	return p.major, err
}
