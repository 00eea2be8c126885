package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// exitUsage is the exit code of a usage or configuration error.
const exitUsage = 2

// usageError is a wish that cannot be understood or granted as it was put: exit code 2.
type usageError struct{ err error }

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

func (e usageError) Error() string { return e.err.Error() }
func (e usageError) Unwrap() error { return e.err }

// ExitCode is 2.
func (usageError) ExitCode() int { return exitUsage }

// fault is one thing wrong with the configuration. Its text never holds the value of a secret.
type fault struct {
	File    string `json:"file,omitempty"`
	Line    int    `json:"line,omitempty"`   // from 1; 0: not in the file
	Column  int    `json:"column,omitempty"` // from 1, in characters
	Env     string `json:"env,omitempty"`    // the environment variable at fault
	Key     string `json:"key,omitempty"`    // the dotted key, as in apps[0].rate
	Message string `json:"message"`
	Excerpt string `json:"excerpt,omitempty"` // the line with a caret below, values of secrets masked
}

// String is the fault as people read it: where, what, and the line with its caret.
func (f fault) String() string {
	var b strings.Builder
	switch {
	case f.Env != "":
		b.WriteString(f.Env + ": ")
	case f.Line > 0:
		fmt.Fprintf(&b, "%s:%d:%d: ", f.File, f.Line, f.Column)
	case f.File != "":
		b.WriteString(f.File + ": ")
	}
	if f.Key != "" && f.Env == "" {
		b.WriteString(f.Key + ": ")
	}
	b.WriteString(f.Message)
	if f.Excerpt != "" {
		b.WriteString("\n" + f.Excerpt)
	}
	return b.String()
}

// faults is everything that is wrong with the configuration, as one error with exit code 2.
type faults []fault

// Error lists all of them, each on lines of its own.
func (fs faults) Error() string {
	var b strings.Builder
	for _, f := range fs {
		b.WriteString(f.String() + "\n")
	}
	if len(fs) == 1 {
		b.WriteString("1 fault in the configuration")
	} else {
		fmt.Fprintf(&b, "%d faults in the configuration", len(fs))
	}
	return b.String()
}

// ExitCode is 2.
func (faults) ExitCode() int { return exitUsage }

// sort puts the file's faults first, by position, then the environment's, by name, then those of nowhere.
func (fs faults) sort() {
	rank := func(f fault) int {
		switch {
		case f.Line > 0:
			return 1
		case f.Env != "":
			return 2
		}
		return 3
	}
	slices.SortStableFunc(fs, func(a, b fault) int {
		return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column),
			cmp.Compare(a.Env, b.Env), cmp.Compare(a.Key, b.Key))
	})
}
