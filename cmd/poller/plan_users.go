package main

import (
	"fmt"
	"strconv"

	"github.com/alecthomas/kong"
)

// headcount is a number of users on a command line.
type headcount int

const mostHeads = 1_000_000_000

// Decode reads it.
func (h *headcount) Decode(ctx *kong.DecodeContext) error {
	t := ctx.Scan.Pop() // whatever comes, also what begins with a dash
	if t.IsEOL() {
		return fmt.Errorf("want a whole number from 1 to %d", mostHeads)
	}
	text := t.String()
	n, err := strconv.ParseUint(text, 10, 32)
	if err != nil || n < 1 || n > mostHeads {
		return fmt.Errorf("%q is not a whole number from 1 to %d", text, mostHeads)
	}
	*h = headcount(n)
	return nil
}

// usersText is a number of users as people read it.
func usersText(n int) string {
	if n == 1 {
		return "1 user"
	}
	return thousands(n) + " users"
}
