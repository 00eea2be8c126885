package zimsim

import (
	"encoding/json"
	"hash/fnv"
	"slices"
	"strconv"
	"strings"
)

// line is one user in one of the two lists.
type line struct {
	id   string
	word string // of Result
	code int    // of ErrorList
}

// answer is the body before it is written.
type answer struct {
	code      int
	message   string
	request   uint64 // over 2^53
	result    []line
	errorList []line
	form      int // of empty lists, turns through emptyForms
}

// words are the gateway's words for Online and Timeout.
type words struct{ online, timeout string }

// wordsIn is false for a case that does not exist.
func wordsIn(statusCase string) (w words, ok bool) {
	switch statusCase {
	case "title":
		return words{"Online", "Offline"}, true
	case "lower":
		return words{"online", "offline"}, true
	case "upper":
		return words{"ONLINE", "OFFLINE"}, true
	}
	return words{}, false
}

// emptyForms are the ways to write a list without elements, to be taken in turn; the empty form leaves the key out.
// There is none for a name that does not exist.
func emptyForms(name string) []string {
	switch name {
	case "null", "[]":
		return []string{name}
	case "absent":
		return []string{""}
	case "rotate":
		return []string{"[]", "null", ""}
	}
	return nil
}

// fill sorts the users into the two lists.
func (a *answer) fill(ids []string, states []State, w words) {
	for i, id := range ids {
		switch states[i] {
		case Online:
			a.result = append(a.result, line{id: id, word: w.online})
		case Timeout:
			a.result = append(a.result, line{id: id, word: w.timeout})
		default:
			a.errorList = append(a.errorList, line{id: id, code: codeNoSession})
		}
	}
}

// shuffle puts both lists into an order of its own.
func (a *answer) shuffle(d *dice) {
	for _, list := range [][]line{a.result, a.errorList} {
		for i := len(list) - 1; i > 0; i-- {
			j := d.below(i + 1)
			list[i], list[j] = list[j], list[i]
		}
	}
}

// judge sets the top-level code from the lists.
func (a *answer) judge(u Unsettled) {
	a.code, a.message = 0, successMessage
	if len(a.result) == 0 && len(a.errorList) > 0 && !u.AllFailedZero {
		a.code, a.message = a.errorList[0].code, noSessionReason
	}
}

// appendTo writes the JSON by hand: an answer about a hundred users is the simulator's hot path.
func (a *answer) appendTo(dst []byte, forms []string) []byte {
	dst = append(dst, `{"Code":`...)
	dst = strconv.AppendInt(dst, int64(a.code), 10)
	dst = append(dst, `,"Message":`...)
	dst = appendString(dst, a.message)
	dst = append(dst, `,"RequestId":"`...)
	dst = strconv.AppendUint(dst, a.request, 10)
	dst = append(dst, '"')
	dst = appendList(dst, "Result", a.result, forms[a.form%len(forms)])
	dst = appendList(dst, "ErrorList", a.errorList, forms[(a.form/len(forms))%len(forms)])
	return append(dst, '}')
}

func appendList(dst []byte, key string, list []line, empty string) []byte {
	if len(list) == 0 && empty == "" {
		return dst
	}
	dst = append(dst, `,"`...)
	dst = append(dst, key...)
	dst = append(dst, `":`...)
	if len(list) == 0 {
		return append(dst, empty...)
	}
	open := byte('[')
	for _, l := range list {
		dst = append(dst, open)
		dst = append(dst, `{"UserId":`...)
		dst = appendString(dst, l.id)
		if l.code != 0 {
			dst = append(dst, `,"SubCode":`...)
			dst = strconv.AppendInt(dst, int64(l.code), 10)
		} else {
			dst = append(dst, `,"Status":`...)
			dst = appendString(dst, l.word)
		}
		dst = append(dst, '}')
		open = ','
	}
	return append(dst, ']')
}

// appendString writes a JSON string; only ids that are illegal anyway need escapes.
func appendString(dst []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			quoted, _ := json.Marshal(s) // a string cannot fail
			return append(dst, quoted...)
		}
	}
	dst = append(dst, '"')
	dst = append(dst, s...)
	return append(dst, '"')
}

// spoil applies a data fault to the lists.
func (a *answer) spoil(f *liveFault, asked []string, d *dice) {
	switch f.Kind {
	case Partial:
		a.leaveOut(share(f, len(asked)), d)
	case Invented:
		for range share(f, len(asked)) {
			a.invent(d)
		}
	case LowerCase:
		for i := range a.result {
			a.result[i].word = strings.ToLower(a.result[i].word)
		}
	case Empty:
		a.result, a.errorList = a.result[:0], a.errorList[:0]
	case UnknownStatus:
		for i := range share(f, len(a.result)) {
			a.result[i].word = [...]string{"Busy", "", "Onlin", "unknown", "1"}[d.below(5)]
		}
	case BothLists:
		for _, l := range a.result[:share(f, len(a.result))] {
			a.errorList = append(a.errorList, line{id: l.id, code: codeNoSession})
		}
	case Twice:
		a.result = append(a.result, a.result[:share(f, len(a.result))]...)
	case Contradictory:
		a.contradict(share(f, len(a.result)))
	case Lost, Gone:
		a.lie(f)
	}
}

// share is how many of n lines a fault spoils: at least one, if there is one.
func share(f *liveFault, n int) int { return min(n, max(1, int(f.Share*float64(n)))) }

func (a *answer) leaveOut(n int, d *dice) {
	for range min(n, len(a.result)+len(a.errorList)) {
		i := d.below(len(a.result) + len(a.errorList))
		if i < len(a.result) {
			a.result = append(a.result[:i], a.result[i+1:]...)
			continue
		}
		i -= len(a.result)
		a.errorList = append(a.errorList[:i], a.errorList[i+1:]...)
	}
}

func (a *answer) invent(d *dice) {
	id := "invented-" + strconv.FormatUint(d.next()>>32, 36)
	if d.chance(0.5) {
		a.result = append(a.result, line{id: id, word: "Online"})
		return
	}
	a.errorList = append(a.errorList, line{id: id, code: codeNoSession})
}

func (a *answer) contradict(n int) {
	for _, l := range a.result[:n] {
		word := "Online"
		if strings.EqualFold(l.word, word) {
			word = "Offline"
		}
		a.result = append(a.result, line{id: l.id, word: word})
	}
}

// lie says of users who are online that they are not. Who is lied about depends on the
// user alone, so to ask again brings the same, as it does from a gateway that has lost
// a part of its sessions.
func (a *answer) lie(f *liveFault) {
	a.result = slices.DeleteFunc(a.result, func(l line) bool {
		if f.Kind != Gone || !strings.EqualFold(l.word, "Online") || !lied(l.id, f.Share) {
			return false
		}
		a.errorList = append(a.errorList, line{id: l.id, code: codeNoSession})
		return true
	})
	for i, l := range a.result {
		if f.Kind == Lost && strings.EqualFold(l.word, "Online") && lied(l.id, f.Share) {
			a.result[i].word = "Offline"
		}
	}
}

// lied tells whether a user is among the share that is lied about.
func lied(id string, share float64) bool {
	h := fnv.New64a()
	_, _ = h.Write([]byte(id)) // never fails
	d := dice{h.Sum64()}
	return d.chance(share)
}
