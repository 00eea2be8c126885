package main

import (
	"fmt"
	"io"
	"regexp"
	"strings"
)

// mask stands for a secret wherever one would be shown.
const mask = "********"

// secret is a value that no print, log line or encoding shows: they show the mask, or nothing when it is empty.
// string(s) is the value.
type secret string

// String is the mask, or empty.
func (s secret) String() string {
	if s == "" {
		return ""
	}
	return mask
}

// GoString, Format, MarshalText (JSON, YAML) and MarshalYAML all show what String shows.
func (s secret) GoString() string             { return s.String() }
func (s secret) Format(w fmt.State, _ rune)   { _, _ = io.WriteString(w, s.String()) }
func (s secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }
func (s secret) MarshalYAML() (any, error)    { return s.String(), nil }

// address is a DSN or a comma-separated list of server URLs, which may hold passwords or tokens; it is shown with
// those masked. string(a) is the value.
type address string

// String is the address without its passwords.
func (a address) String() string {
	text := string(a)
	if isKeyValueDSN(text) || strings.HasPrefix(text, "postgres") {
		return maskServer(text)
	}
	servers := strings.Split(text, ",")
	for i, s := range servers {
		servers[i] = maskServer(s)
	}
	return strings.Join(servers, ",")
}

// GoString, Format, MarshalText (JSON, YAML) and MarshalYAML all show what String shows.
func (a address) GoString() string             { return a.String() }
func (a address) Format(w fmt.State, _ rune)   { _, _ = io.WriteString(w, a.String()) }
func (a address) MarshalText() ([]byte, error) { return []byte(a.String()), nil }
func (a address) MarshalYAML() (any, error)    { return a.String(), nil }

// maskServer masks what stands between the scheme and the last @, but for a user's name, and password parameters.
// It takes too much rather than too little: a password with a stray / or ? in it must not come through. A NATS user
// without a password is a token; a Postgres one is a name.
func maskServer(server string) string {
	scheme := regexp.MustCompile(`^\s*(?:[A-Za-z][A-Za-z0-9+.-]*://)?`).FindString(server)
	rest := server[len(scheme):]
	if at := strings.LastIndexByte(rest, '@'); at >= 0 && !isKeyValueDSN(server) {
		user, _, hasPassword := strings.Cut(rest[:at], ":")
		switch {
		case hasPassword:
			user += ":" + mask
		case !strings.HasPrefix(scheme, "postgres"):
			user = mask
		}
		rest = user + rest[at:]
	}
	password := regexp.MustCompile(`(?i)((?:password|passphrase|token|secret)\s*=\s*)('(?:[^'\\]|\\.)*'?|[^&\s]+)`)
	return scheme + password.ReplaceAllString(rest, "${1}"+mask)
}

// isKeyValueDSN tells a DSN of the form host=… user=… from a URL.
func isKeyValueDSN(s string) bool {
	return !strings.Contains(s, "://") && strings.Contains(s, "=")
}
