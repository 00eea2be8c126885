package presence

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// The lengths of a user id in bytes. ZIM's general limit is 32 (its code
// 660000012), the schema of this query says 64: longer than the first is worth
// a warning, longer than the second is never sent.
const (
	UsualUserIDBytes = 32
	MaxUserIDBytes   = 64
)

// ErrUserID is wrapped by every error of [CheckUserID].
var ErrUserID = errors.New("invalid user id")

// User is a watched user. No is a number that every watched user of an app gets
// once, from 1, and that is never used again, also after a removal.
type User struct {
	No uint32
	ID string
}

// CheckUserID tells whether ZIM can be asked about the id: 1 to
// [MaxUserIDBytes] bytes, each a digit, a letter, a space or one of
// !#$%&()+-:;<=.>?@[]^_{}|~ (ZIM server API, QueryUserOnlineState). The error
// wraps [ErrUserID] and says what is wrong.
func CheckUserID(id string) error {
	if id == "" {
		return fmt.Errorf("%w: empty", ErrUserID)
	}
	if len(id) > MaxUserIDBytes {
		return fmt.Errorf("%w: %d bytes, the most is %d", ErrUserID, len(id), MaxUserIDBytes)
	}
	for i := range len(id) {
		if !legalInUserID(id[i]) {
			return fmt.Errorf("%w: illegal character %s at byte %d", ErrUserID, shown(id[i]), i)
		}
	}
	return nil
}

// shown is a byte as a person may read it: a character, or its number where it
// is a part of one only.
func shown(c byte) string {
	if c < 0x80 {
		return strconv.QuoteRune(rune(c))
	}
	return fmt.Sprintf("0x%02X", c)
}

func legalInUserID(c byte) bool {
	const punctuation = "!#$%&()+-:;<=.>?@[]^_{}|~ "
	return isAlphanumeric(c) || strings.IndexByte(punctuation, c) >= 0
}

func isAlphanumeric(c byte) bool {
	return '0' <= c && c <= '9' || 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z'
}
