package local

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// install puts server programs that only know their version into a directory.
func install(t *testing.T, version string) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"initdb", "postgres"} {
		script := fmt.Sprintf("#!/bin/sh\necho 'postgres (PostgreSQL) %s'\n", version)
		if err := os.WriteFile(filepath.Join(dir, name), []byte(script), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestFindPrograms(t *testing.T) {
	v13, v15, v18beta := install(t, "13.4"), install(t, "15.18 (Debian 15.18-0+deb12u1)"), install(t, "18beta1")
	empty, onlyClient := t.TempDir(), t.TempDir()
	if err := os.WriteFile(filepath.Join(onlyClient, "psql"), nil, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name  string
		dirs  []string
		major int
		want  string // directory; empty: missing
		found int    // versions that will not do
	}{
		{"nothing", []string{empty, onlyClient, "", "/nonexistent"}, 0, "", 0},
		{"the first that will do", []string{empty, v15, v18beta}, 0, v15, 0},
		{"a beta has a version too", []string{v18beta}, 0, v18beta, 0},
		{"too old", []string{v13}, 0, "", 1},
		{"an old one before a new one", []string{v13, v15}, 0, v15, 0},
		{"the one that made the data", []string{v15, v18beta}, 18, v18beta, 0},
		{"data of one that is gone", []string{v15, v18beta}, 16, "", 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := findPrograms(t.Context(), tt.dirs, tt.major)
			if got.bin != tt.want {
				t.Errorf("got %q, want %q", got.bin, tt.want)
			}
			var missing *MissingError
			switch {
			case tt.want != "" && err != nil:
				t.Errorf("got %v, want no error", err)
			case tt.want == "" && !errors.As(err, &missing):
				t.Errorf("got %v, want a MissingError", err)
			case tt.want == "" && len(missing.Found) != tt.found:
				t.Errorf("found: got %q, want %d", missing.Found, tt.found)
			}
		})
	}
}

func TestNewestFirst(t *testing.T) {
	got := newestFirst([]string{"/usr/lib/postgresql/9.6/bin", "/usr/lib/postgresql/14/bin", "/usr/lib/postgresql/17/bin"})
	want := []string{"/usr/lib/postgresql/17/bin", "/usr/lib/postgresql/14/bin", "/usr/lib/postgresql/9.6/bin"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestInstallCommand(t *testing.T) {
	for _, tt := range []struct {
		goos, release string
		want          string
	}{
		{"darwin", "", "brew install postgresql@17"},
		{"linux", "ID=debian\n", "sudo apt-get update && sudo apt-get install -y postgresql"},
		{"linux", "NAME=\"Linux Mint\"\nID=linuxmint\nID_LIKE=\"ubuntu debian\"\n", "sudo apt-get update && sudo apt-get install -y postgresql"},
		{"linux", "ID=\"rocky\"\nID_LIKE=\"rhel centos fedora\"\n", "sudo dnf install -y postgresql-server"},
		{"linux", "ID=alpine\n", "sudo apk add postgresql"},
		{"linux", "ID=\"opensuse-leap\"\nID_LIKE=\"suse opensuse\"\n", "sudo zypper install -y postgresql-server"},
		{"linux", "ID=unheard-of\n", "see https://www.postgresql.org/download/"},
		{"freebsd", "", "see https://www.postgresql.org/download/"},
	} {
		path := filepath.Join(t.TempDir(), "os-release")
		if err := os.WriteFile(path, []byte(tt.release), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := installCommandFor(tt.goos, distribution(path)); got != tt.want {
			t.Errorf("%s, %q: got %q, want %q", tt.goos, tt.release, got, tt.want)
		}
	}
}
