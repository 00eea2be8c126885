package page

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"regexp"
)

// veil hides who the users are: each has a name that stands for one id of one app
// while the process lives, and from which the id cannot be found without the key,
// which nobody is told.
type veil struct{ key [32]byte }

func newVeil() *veil {
	v := &veil{}
	_, _ = rand.Read(v.key[:]) // never fails, by its contract
	return v
}

// name is what a user is called; empty for none.
func (v *veil) name(app uint32, user string) string {
	if user == "" {
		return ""
	}
	mac := hmac.New(sha256.New, v.key[:])
	var id [4]byte
	binary.BigEndian.PutUint32(id[:], app)
	mac.Write(id[:])
	mac.Write([]byte(user))
	return "user-" + hex.EncodeToString(mac.Sum(nil)[:6])
}

// What may name a user in a text: what ZIM says of a request, and what is quoted,
// such as the subject of a message.
var (
	saidByZIM = regexp.MustCompile(`(?s)((?:ZIM answered (?:code|HTTP) -?\d+|ask ZIM) )\(.*\)`)
	quoted    = regexp.MustCompile(`"(?:[^"\\]|\\.)*"?`)
	subject   = regexp.MustCompile(`(presence\.v1\.|\$KV\.)\S*?('?;?(?:\s|$))`) // a command keeps its quote
)

// text is a text without what may name a user. A nil veil hides nothing.
func (v *veil) text(s string) string {
	if v == nil {
		return s
	}
	return Unnamed(s)
}

// Unnamed is what somebody is shown of a text, such as that of an error, who is not to
// see user ids: all but what may hold one.
func Unnamed(text string) string {
	text = saidByZIM.ReplaceAllString(text, "${1}(…)")
	text = quoted.ReplaceAllString(text, `"…"`)
	return subject.ReplaceAllString(text, "${1}…${2}")
}

// board hides in a board what may name a user.
func (v *veil) board(b *Board) {
	if v == nil {
		return
	}
	for i := range b.Checks {
		c := &b.Checks[i]
		c.Error, c.Mend, c.Note = v.text(c.Error), v.text(c.Mend), v.text(c.Note)
	}
	for i := range b.Apps {
		a := &b.Apps[i]
		a.Trouble = v.text(a.Trouble)
		a.Running, a.Last = v.sweep(a.Running), v.sweep(a.Last)
	}
}

// sweep returns a sweep of its own.
func (v *veil) sweep(s *Sweep) *Sweep {
	if s == nil {
		return nil
	}
	veiled := *s
	veiled.Failure = v.text(s.Failure)
	return &veiled
}
