package status

import (
	"slices"
	"strings"
)

// lineError is an error that is said in one line. The client of Postgres writes a line
// for each address and way that it tried, often the same ones.
type lineError struct{ error }

// oneLine returns err itself where it is a line.
func oneLine(err error) error {
	if err == nil || !strings.Contains(err.Error(), "\n") {
		return err
	}
	return lineError{err}
}

// Error says each line once.
func (e lineError) Error() string {
	var said []string
	for line := range strings.Lines(e.error.Error()) {
		if line = strings.TrimSpace(line); line != "" && !slices.Contains(said, line) {
			said = append(said, line)
		}
	}
	if len(said) < 2 {
		return strings.Join(said, "")
	}
	return said[0] + " " + strings.Join(said[1:], "; ")
}

// Unwrap returns the error as it came.
func (e lineError) Unwrap() error { return e.error }
