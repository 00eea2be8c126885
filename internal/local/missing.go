package local

import (
	"bufio"
	"fmt"
	"os"
	"runtime"
	"strings"
)

// MissingError says that the server programs of Postgres are not installed, or not in a version that will
// do, and gives the command that installs them here.
type MissingError struct {
	// Major is the version that the data needs; 0 if any from 14 on would do.
	Major int
	// Found lists the versions that are installed and will not do.
	Found []string

	install string
}

// Install is the command that installs what is missing on this system.
func (e *MissingError) Install() string { return e.install }

func (e *MissingError) Error() string {
	var b strings.Builder
	b.WriteString("the server programs of PostgreSQL ")
	if e.Major != 0 {
		fmt.Fprintf(&b, "%d, which made this data directory, are not installed", e.Major)
	} else {
		fmt.Fprintf(&b, "%d or newer are not installed", oldestMajor)
	}
	if len(e.Found) > 0 {
		fmt.Fprintf(&b, " (found: %s)", strings.Join(e.Found, ", "))
	}
	if e.Major != 0 {
		b.WriteString("; install that version")
		return b.String()
	}
	fmt.Fprintf(&b, "; install them with: %s", e.install)
	return b.String()
}

// installCommand is the command that installs Postgres on this system.
func installCommand() string {
	command := installCommandFor(runtime.GOOS, distribution("/etc/os-release"))
	if os.Geteuid() == 0 {
		command = strings.ReplaceAll(command, "sudo ", "")
	}
	return command
}

// installCommandFor gives the command for an operating system and the names of its distribution, the most
// specific first.
func installCommandFor(goos string, names []string) string {
	if goos == "darwin" {
		return "brew install postgresql@17"
	}
	for _, name := range names {
		switch name {
		case "debian", "ubuntu":
			return "sudo apt-get update && sudo apt-get install -y postgresql"
		case "fedora", "rhel", "centos", "amzn":
			return "sudo dnf install -y postgresql-server"
		case "alpine":
			return "sudo apk add postgresql"
		case "arch":
			return "sudo pacman -S --noconfirm postgresql"
		case "suse", "opensuse":
			return "sudo zypper install -y postgresql-server"
		}
	}
	return "see https://www.postgresql.org/download/"
}

// distribution reads ID and ID_LIKE of an os-release file; nothing if there is none.
func distribution(path string) []string {
	f, err := os.Open(path)
	if err != nil {
		return nil
	}
	defer func() { _ = f.Close() }()
	var id, like []string
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		key, value, _ := strings.Cut(lines.Text(), "=")
		switch value = strings.Trim(value, `"'`); key {
		case "ID":
			id = strings.Fields(value)
		case "ID_LIKE":
			like = strings.Fields(value)
		}
	}
	return append(id, like...)
}
