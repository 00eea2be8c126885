package status

// Mend returns what somebody has to do about an error, in a few words or as a
// command: of the errors in its tree, walked as errors.As walks it, the first that
// has a method Mend() string and something to say. Empty where none has.
func Mend(err error) string {
	if err == nil {
		return ""
	}
	if knows, ok := err.(interface{ Mend() string }); ok {
		if mend := knows.Mend(); mend != "" {
			return mend
		}
	}
	switch wraps := err.(type) { //nolint:errorlint // this is the walk itself
	case interface{ Unwrap() error }:
		return Mend(wraps.Unwrap())
	case interface{ Unwrap() []error }:
		for _, inner := range wraps.Unwrap() {
			if mend := Mend(inner); mend != "" {
				return mend
			}
		}
	}
	return ""
}

// MendBy has f say what to do about a red check of that name, instead of [Mend]. It is
// called each time that somebody looks, from several goroutines, and must not wait.
func (c *Checks) MendBy(f func(name string, err error) string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.mend = f
}

// Note says something of a check that is no fault, such as who else does the work.
// It stays until it is replaced, empty for nothing, or the check is removed; without
// the check nobody sees it.
func (c *Checks) Note(name, note string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if note == "" {
		delete(c.notes, name)
		return
	}
	c.notes[name] = note
}
