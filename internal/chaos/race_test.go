//go:build race

package chaos

// buildFlags has the daemons built as the test is.
const buildFlags = "-race"
