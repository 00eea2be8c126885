package zimsim

import (
	"crypto/md5"
	"crypto/subtle"
	"encoding/hex"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"time"
)

// clockError is how far a request's Timestamp may be from the server's clock.
const clockError = 10 * time.Minute

// refusal is why a request gets no data. A status other than 200 is answered in HTML, as by a gateway in front.
type refusal struct {
	status  int
	code    int
	message string
	id      int // index of the one user id to blame; -1 for none
}

func refuse(code int, message string) *refusal {
	return &refusal{status: http.StatusOK, code: code, message: message, id: -1}
}

func refuseHTTP(status int) *refusal {
	return &refusal{status: status, message: http.StatusText(status), id: -1}
}

// checkRequest judges what a gateway judges before it looks at parameters.
func (u Unsettled) checkRequest(r *http.Request) *refusal {
	line := len(r.Method) + len(r.RequestURI) + len(r.Proto) + 2
	switch {
	case line > u.LongestLine:
		return refuseHTTP(http.StatusRequestURITooLong)
	case r.URL.Path != "/":
		return refuseHTTP(http.StatusNotFound)
	case r.Method != http.MethodGet:
		return refuseHTTP(http.StatusMethodNotAllowed)
	case len(r.Header["Expect"]) > 0:
		return refuseHTTP(http.StatusExpectationFailed)
	case r.ContentLength != 0:
		return refuseHTTP(http.StatusBadRequest)
	}
	return nil
}

// checkParameters judges everything but the ids.
func (q *query) checkParameters(secret string, now time.Time) *refusal {
	if q.bad != "" {
		return refuse(codeParameter, q.bad)
	}
	if name := q.missing(); name != "" {
		return refuse(codeParameter, "missing parameter: "+name)
	}
	if q.fields[fieldAction] != "QueryUserOnlineState" {
		return refuse(codeAction, "unknown action")
	}
	if q.fields[fieldVersion] != "2.0" {
		return refuse(codeVersion, "signature version")
	}
	if _, ok := q.nonce(); !ok {
		return refuse(codeParameter, "nonce: want 16 hex digits")
	}
	stamp, ok := decimal(q.fields[fieldTimestamp])
	if !ok {
		return refuse(codeParameter, "timestamp: want unix seconds")
	}
	if off := now.Sub(time.Unix(int64(stamp), 0)); off > clockError || off < -clockError {
		return refuse(codeExpired, "signature expired")
	}
	return q.checkSignature(secret)
}

func (q *query) checkSignature(secret string) *refusal {
	var signed [256]byte
	text := append(signed[:0], q.fields[fieldAppID]...)
	text = append(text, q.fields[fieldNonce]...)
	text = append(text, secret...)
	text = append(text, q.fields[fieldTimestamp]...)
	sum := md5.Sum(text)
	var want [2 * md5.Size]byte
	hex.Encode(want[:], sum[:])
	if subtle.ConstantTimeCompare(want[:], []byte(q.fields[fieldSignature])) != 1 {
		return refuse(codeSignature, "signature wrong")
	}
	return nil
}

// nonce reads the 16 hex digits; upper and lower case are the same nonce.
func (q *query) nonce() (uint64, bool) {
	s := q.fields[fieldNonce]
	if len(s) != 16 {
		return 0, false
	}
	var n uint64
	for i := range len(s) {
		d := hexDigit(s[i])
		if d < 0 {
			return 0, false
		}
		n = n<<4 | uint64(d)
	}
	return n, true
}

// appID reads the app's number; false when it is absent or none.
func (q *query) appID() (uint32, bool) {
	n, ok := decimal(q.fields[fieldAppID])
	return uint32(n), ok && n <= math.MaxUint32
}

// checkCount judges the list of ids as a whole.
func (q *query) checkCount() *refusal {
	switch {
	case q.asked == 0:
		return refuse(codeParameter, "missing parameter: UserId[]")
	case q.asked > mostIDs:
		return refuse(codeTooMany, strconv.Itoa(q.asked)+" user ids: at most 100")
	}
	if i := repeated(q.ids); i >= 0 {
		return refuse(codeParameter, fmt.Sprintf("user id given twice: %q", q.ids[i]))
	}
	return nil
}

// repeated is the index of the first of at most 101 ids that stands in the list before, or -1.
func repeated(ids []string) int {
	var table [256]uint8 // open addressing; index of the id plus one
	for i, id := range ids {
		slot := slotOf(id)
		for ; table[slot] != 0; slot++ {
			if ids[table[slot]-1] == id {
				return i
			}
		}
		table[slot] = uint8(i + 1)
	}
	return -1
}

// slotOf is FNV-1a, folded.
func slotOf(id string) uint8 {
	h := uint32(2166136261)
	for i := range len(id) {
		h = (h ^ uint32(id[i])) * 16777619
	}
	return uint8(h ^ h>>8 ^ h>>16 ^ h>>24)
}

// checkID is the code of what is wrong with one id, or 0.
func (u Unsettled) checkID(id string) int {
	if len(id) < 1 || len(id) > u.LongestID {
		return codeLongID
	}
	for i := range len(id) {
		if !inID(id[i]) {
			return u.BadIDCode
		}
	}
	return 0
}
