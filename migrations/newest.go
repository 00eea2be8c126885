package migrations

import (
	"io/fs"
	"strconv"
	"strings"
)

// Newest returns the number of the newest migration that this program has.
func Newest() (newest int64) {
	names, err := fs.Glob(files, "*.sql")
	if err != nil {
		return 0 // never, with this pattern
	}
	for _, name := range names {
		number, _, _ := strings.Cut(name, "_")
		if n, err := strconv.ParseInt(number, 10, 64); err == nil {
			newest = max(newest, n)
		}
	}
	return newest
}
