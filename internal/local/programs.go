package local

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// oldestMajor is the oldest major version of Postgres that will do.
const oldestMajor = 14

// programs are the server programs of one installed Postgres.
type programs struct {
	bin   string // the directory that holds initdb and postgres
	major int
}

func (p programs) initdb() string   { return filepath.Join(p.bin, "initdb") }
func (p programs) postgres() string { return filepath.Join(p.bin, "postgres") }

// findPrograms looks through the directories, in order, for a Postgres of the given major version; 0
// means any that is new enough.
func findPrograms(ctx context.Context, dirs []string, major int) (programs, error) {
	missing := MissingError{Major: major, install: installCommand()}
	for _, dir := range dirs {
		p, ok := inspect(ctx, dir)
		switch {
		case !ok:
		case p.major < oldestMajor, major != 0 && p.major != major:
			missing.Found = append(missing.Found, fmt.Sprintf("%d in %s", p.major, p.bin))
		default:
			return p, nil
		}
	}
	if err := ctx.Err(); err != nil {
		return programs{}, fmt.Errorf("look for postgres: %w", err)
	}
	return programs{}, &missing
}

var versionLine = regexp.MustCompile(`^postgres \(PostgreSQL\) (\d+)`)

// inspect tells whether a directory holds the server programs, and of which version.
func inspect(ctx context.Context, dir string) (programs, bool) {
	p := programs{bin: dir}
	if !executable(p.initdb()) || !executable(p.postgres()) {
		return programs{}, false
	}
	out, err := exec.CommandContext(ctx, p.postgres(), "--version").Output()
	if err != nil {
		return programs{}, false
	}
	m := versionLine.FindSubmatch(out)
	if m == nil {
		return programs{}, false
	}
	p.major, err = strconv.Atoi(string(m[1]))
	return p, err == nil
}

func executable(path string) bool {
	st, err := os.Stat(path)
	return err == nil && st.Mode().IsRegular() && st.Mode()&0o111 != 0
}

// searchPath lists where server programs may be: PATH, what pg_config says, then where the packages of the
// distributions and of Homebrew put them, newest version first. Debian and Fedora keep them out of PATH.
func searchPath(ctx context.Context) []string {
	var dirs []string
	if bin, err := exec.LookPath("postgres"); err == nil {
		// What is in PATH may be a link into the directory that holds the others.
		if resolved, err := filepath.EvalSymlinks(bin); err == nil {
			bin = resolved
		}
		dirs = append(dirs, filepath.Dir(bin))
	}
	if out, err := exec.CommandContext(ctx, "pg_config", "--bindir").Output(); err == nil {
		dirs = append(dirs, strings.TrimSpace(string(out)))
	}
	for _, pattern := range []string{
		"/usr/lib/postgresql/*/bin",
		"/usr/lib/postgresql[0-9]*/bin",
		"/usr/libexec/postgresql[0-9]*",
		"/usr/pgsql-*/bin",
		"/opt/homebrew/opt/postgresql@*/bin",
		"/usr/local/opt/postgresql@*/bin",
		"/home/linuxbrew/.linuxbrew/opt/postgresql@*/bin",
		"/Applications/Postgres.app/Contents/Versions/*/bin",
	} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			continue
		}
		dirs = append(dirs, newestFirst(found)...)
	}
	return append(dirs, "/usr/local/pgsql/bin", "/usr/bin")
}

var number = regexp.MustCompile(`\d+`)

// newestFirst sorts paths by the first number in them, the highest first.
func newestFirst(paths []string) []string {
	version := func(path string) int {
		n, err := strconv.Atoi(number.FindString(path))
		if err != nil {
			return 0
		}
		return n
	}
	slices.SortStableFunc(paths, func(a, b string) int { return version(b) - version(a) })
	return paths
}
