package presence

import (
	"fmt"
	"strconv"
	"strings"
)

// SubjectRoot is the first two tokens of the subject of every live event.
const SubjectRoot = "presence.v1"

// ErasedToken stands in the place of the user in the subject of an event of
// [KindErased]. It is nobody's: no id is encoded so.
const ErasedToken = "="

// Subject returns the NATS subject of an event:
// presence.v1.<app_id>.<kind>.<user>, the user as [EncodeUser] writes it, or
// [ErasedToken] where the kind is [KindErased].
func Subject(appID uint32, kind Kind, userID string) string {
	token := EncodeUser(userID)
	if kind == KindErased {
		token = ErasedToken
	}
	return SubjectRoot + "." + strconv.FormatUint(uint64(appID), 10) + "." + kind.String() + "." + token
}

// EncodeUser writes a user id as one token of a subject, which is also a legal
// key of a key-value bucket: every byte outside [0-9A-Za-z_-] becomes =XX,
// upper-case hex. Two ids never share a token.
func EncodeUser(id string) string {
	escaped := 0
	for i := range len(id) {
		if !plainInSubject(id[i]) {
			escaped++
		}
	}
	if escaped == 0 {
		return id
	}
	const hex = "0123456789ABCDEF"
	var b strings.Builder
	b.Grow(len(id) + 2*escaped)
	for i := range len(id) {
		if c := id[i]; plainInSubject(c) {
			b.WriteByte(c)
		} else {
			b.Write([]byte{'=', hex[c>>4], hex[c&15]})
		}
	}
	return b.String()
}

// DecodeUser is the inverse of [EncodeUser]. A token that EncodeUser does not
// write is an error.
func DecodeUser(token string) (string, error) {
	var b strings.Builder
	for i := 0; i < len(token); i++ {
		c := token[i]
		if c == '=' {
			if i+2 >= len(token) {
				return "", fmt.Errorf("user token %q: cut off after =", token)
			}
			n, err := strconv.ParseUint(token[i+1:i+3], 16, 8)
			if err != nil {
				return "", fmt.Errorf("user token %q: %w", token, err)
			}
			c, i = byte(n), i+2
		}
		b.WriteByte(c)
	}
	id := b.String()
	if EncodeUser(id) != token {
		return "", fmt.Errorf("user token %q is not in canonical form", token)
	}
	return id, nil
}

func plainInSubject(c byte) bool { return isAlphanumeric(c) || c == '_' || c == '-' }
