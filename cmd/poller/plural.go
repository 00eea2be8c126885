package main

import "strconv"

// plural is a number of things; one names a single one, and takes an s for more.
func plural(n int64, one string) string {
	if n != 1 {
		one += "s"
	}
	return strconv.FormatInt(n, 10) + " " + one
}
