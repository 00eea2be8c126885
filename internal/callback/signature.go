package callback

import (
	"crypto/sha1" //nolint:gosec // it is what ZIM signs with
	"crypto/subtle"
	"encoding/hex"
	"slices"
	"strings"
)

// Sign returns the signature of a callback: the SHA-1, in lower-case hex, of the
// app's callback secret, the timestamp and the nonce, sorted as texts and joined.
func Sign(secret, timestamp, nonce string) string {
	parts := []string{secret, timestamp, nonce}
	slices.Sort(parts)
	sum := sha1.Sum([]byte(strings.Join(parts, ""))) //nolint:gosec // as above
	return hex.EncodeToString(sum[:])
}

// signed tells whether the signature of a callback is right. It takes the same time
// wherever it is wrong.
func (b *body) signed(secret string) bool {
	want := Sign(secret, b.timestamp, b.nonce)
	return subtle.ConstantTimeCompare([]byte(strings.ToLower(b.signature)), []byte(want)) == 1
}
