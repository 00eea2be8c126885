// Package clock tells the time that answers are stamped with: the machine's, but for
// steps back. It imports the standard library alone.
package clock
