package zimsim

import "strings"

// query is the parsed query string of one request. Its strings are cut from the raw query wherever nothing is escaped.
type query struct {
	fields  [fieldCount]string
	present [fieldCount]bool
	ids     []string // the first mostIDs+1 of them
	asked   int      // all of them
	bad     string   // what is malformed about the query as a whole; the first finding
}

type field int

const (
	fieldAction field = iota
	fieldAppID
	fieldNonce
	fieldTimestamp
	fieldSignature
	fieldVersion
	fieldCount
)

// String is the parameter's name.
func (f field) String() string {
	switch f {
	case fieldAction:
		return "Action"
	case fieldAppID:
		return "AppId"
	case fieldNonce:
		return "SignatureNonce"
	case fieldTimestamp:
		return "Timestamp"
	case fieldSignature:
		return "Signature"
	case fieldVersion:
		return "SignatureVersion"
	}
	return ""
}

// read parses to the end whatever it finds, so that the app of a malformed request is still known.
func (q *query) read(raw string) {
	*q = query{ids: q.ids[:0]}
	for raw != "" {
		var pair string
		pair, raw, _ = strings.Cut(raw, "&")
		key, value, found := strings.Cut(pair, "=")
		if !found {
			q.blame("parameter without a value")
			continue
		}
		q.take(key, value)
	}
}

func (q *query) blame(what string) {
	if q.bad == "" {
		q.bad = what
	}
}

func (q *query) take(key, escaped string) {
	value, ok := unescape(escaped)
	if !ok {
		q.blame("malformed escape or unescaped reserved character")
		return
	}
	switch key {
	case "UserId[]", "UserId%5B%5D", "UserId%5b%5d":
		q.asked++
		if len(q.ids) <= mostIDs {
			q.ids = append(q.ids, value)
		}
		return
	}
	for f := range fieldCount {
		if key != f.String() {
			continue
		}
		if q.present[f] {
			q.blame("parameter given twice: " + key)
			return
		}
		q.fields[f], q.present[f] = value, true
		return
	}
	q.blame("unknown parameter")
}

// missing names the first absent or empty public parameter.
func (q *query) missing() string {
	for f, v := range q.fields {
		if v == "" {
			return field(f).String()
		}
	}
	return ""
}

// unescape decodes a query value: %XX, and + for the space. It refuses what a URL may not carry unescaped, and ; and
// =, which gateways read differently from each other.
func unescape(s string) (string, bool) {
	plain := true
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '%' || c == '+':
			plain = false
		case !unescaped(c):
			return "", false
		}
	}
	if plain {
		return s, true
	}
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '+':
			out = append(out, ' ')
		case '%':
			if i+2 >= len(s) || hexDigit(s[i+1]) < 0 || hexDigit(s[i+2]) < 0 {
				return "", false
			}
			out = append(out, byte(hexDigit(s[i+1])<<4|hexDigit(s[i+2])))
			i += 2
		default:
			out = append(out, s[i])
		}
	}
	return string(out), true
}

// unescaped says whether a byte may stand for itself in a query value.
func unescaped(c byte) bool {
	return alphanumeric(c) || strings.IndexByte("-._~!$'()*,:@/?", c) >= 0
}

// inID says whether a byte may be part of a user id.
func inID(c byte) bool {
	return alphanumeric(c) || strings.IndexByte("!#$%&()+-:;<=.>?@[]^_{}|~ ", c) >= 0
}

func alphanumeric(c byte) bool {
	return 'a' <= c && c <= 'z' || '0' <= c && c <= '9' || 'A' <= c && c <= 'Z'
}

func hexDigit(c byte) int {
	switch {
	case '0' <= c && c <= '9':
		return int(c - '0')
	case 'a' <= c && c <= 'f':
		return int(c-'a') + 10
	case 'A' <= c && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}

// decimal reads digits as they are written by a machine: no sign, no leading zero, below 2^53.
func decimal(s string) (uint64, bool) {
	if s == "" || len(s) > 15 || len(s) > 1 && s[0] == '0' {
		return 0, false
	}
	var n uint64
	for _, c := range []byte(s) {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + uint64(c-'0')
	}
	return n, true
}
