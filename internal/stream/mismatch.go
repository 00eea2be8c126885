package stream

import (
	"fmt"
	"slices"
	"strings"
)

// Difference is one field of a standing stream that breaks a promise.
type Difference struct {
	Stream string
	// Field is named as in the stream's configuration in JSON.
	Field string
	// Have and Want are its values, for people.
	Have, Want string
	// Breaks says what does not hold while it stands so.
	Breaks string
	// Mend is a command of the nats program that puts it right.
	Mend string
}

func (d Difference) String() string {
	return fmt.Sprintf("%s of %s is %s, not %s: %s; mend: %s", d.Field, d.Stream, d.Have, d.Want, d.Breaks, d.Mend)
}

// MismatchError says that streams stand in a way that breaks a promise. They
// are not altered: the operator who made them so decides.
type MismatchError struct {
	// Differences are all that were found; at least one.
	Differences []Difference
}

func (e *MismatchError) Error() string {
	lines := make([]string, len(e.Differences))
	for i, d := range e.Differences {
		lines[i] = d.String()
	}
	return strings.Join(lines, "\n")
}

// Mend is the commands that put it right, each once.
func (e *MismatchError) Mend() string {
	var mends []string
	for _, d := range e.Differences {
		if !slices.Contains(mends, d.Mend) {
			mends = append(mends, d.Mend)
		}
	}
	return strings.Join(mends, "; ")
}
