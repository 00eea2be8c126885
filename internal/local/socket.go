package local

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
)

const (
	// socketName is what Postgres calls its socket, by its port.
	socketName = ".s.PGSQL.5432"
	socketPort = "5432"

	// longestSocket is the longest path of a Unix socket, the final NUL not counted: macOS has the
	// shortest.
	longestSocket = 103
)

// socketDir is the directory for the socket of the data in a directory: that directory itself if the path
// is short and plain enough, or else one in the temporary directory, named from a hash of the path.
func socketDir(data string) string {
	// Postgres and its clients read a comma as the end of a directory.
	if len(filepath.Join(data, socketName)) <= longestSocket && !strings.ContainsAny(data, `,"`) {
		return data
	}
	sum := sha256.Sum256([]byte(data))
	return filepath.Join(os.TempDir(), fmt.Sprintf("poller-%x", sum[:8]))
}

// prepareSocketDir makes a directory for the socket that only the account, and root, can enter. In a
// temporary directory somebody else may have made it before us; it is refused then.
func prepareSocketDir(dir string, a account) error {
	if n := len(filepath.Join(dir, socketName)); n > longestSocket {
		return fmt.Errorf("path of the socket in %s has %d bytes, more than the %d that a socket may have: set TMPDIR to a shorter path",
			dir, n, longestSocket)
	}
	err := os.Mkdir(dir, 0o700)
	if err == nil {
		return a.own(dir)
	}
	if !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("directory of the socket: %w", err)
	}
	uid, mode, ok := ownerOf(dir)
	if !ok || !mode.IsDir() || uid != a.uid {
		return fmt.Errorf("directory of the socket: %s exists and is not a directory of user %s", dir, a.name)
	}
	return a.own(dir)
}

// dsnFor is the DSN of a database behind the socket in a directory.
func dsnFor(socketDir, database string) string {
	u := url.URL{
		Scheme: "postgres",
		User:   url.User(superuser),
		Path:   "/" + database,
		RawQuery: url.Values{
			"host":    {socketDir},
			"port":    {socketPort},
			"sslmode": {"disable"},
		}.Encode(),
	}
	return u.String()
}
