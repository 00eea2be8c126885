package zim

import (
	"crypto/md5"
	"crypto/rand"
	"encoding/hex"
	"net/http"
	"strconv"
	"time"

	"github.com/zim-presence/poller/presence"
)

// maxQuery bounds the ids of one request in bytes as they are written: many
// gateways refuse a request line over 8 KB.
const maxQuery = 7 << 10

// idKey is the key of each id. The brackets are encoded, as a URL demands and
// as the vendor's own samples do.
const idKey = "&UserId%5B%5D="

// sign returns the signature of one request: lower-case hex of the MD5 of app,
// nonce, secret and time, decimal and joined without a separator (ZIM server
// API, "Signature method").
func sign(app uint32, nonce, secret string, unix int64) string {
	b := strconv.AppendUint(make([]byte, 0, 128), uint64(app), 10)
	b = append(b, nonce...)
	b = append(b, secret...)
	b = strconv.AppendInt(b, unix, 10)
	sum := md5.Sum(b)
	return hex.EncodeToString(sum[:])
}

// request returns the signed request about a batch. Each call has a nonce of
// its own.
func (c *course) request(app uint32, batch []presence.User, now time.Time) *http.Request {
	var random [8]byte
	_, _ = rand.Read(random[:]) // never fails, by its contract
	nonce := hex.EncodeToString(random[:])
	unix := now.Unix()
	q := make([]byte, 0, 256+len(batch)*48)
	q = append(q, "Action=QueryUserOnlineState&AppId="...)
	q = strconv.AppendUint(q, uint64(app), 10)
	q = append(q, "&SignatureNonce="...)
	q = append(q, nonce...)
	q = append(q, "&SignatureVersion=2.0&Timestamp="...)
	q = strconv.AppendInt(q, unix, 10)
	q = append(q, "&Signature="...)
	q = append(q, sign(app, nonce, c.Secret, unix)...)
	for _, u := range batch {
		q = append(q, idKey...)
		q = appendEscaped(q, u.ID)
	}
	target := *c.target
	target.RawQuery = string(q)
	return &http.Request{
		Method: http.MethodGet, URL: &target, Host: target.Host,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{"Accept": {"application/json"}, "User-Agent": {"zim-presence-poller"}},
	}
}

// queryLen returns how many bytes an id takes in a request.
func queryLen(id string) int {
	n := len(idKey)
	for i := range len(id) {
		if unreserved(id[i]) {
			n++
		} else {
			n += 3
		}
	}
	return n
}

// appendEscaped writes an id with every byte but the unreserved ones of
// RFC 3986 as %XX. A plus sign is legal in ids, so a space is never one.
func appendEscaped(b []byte, id string) []byte {
	const digits = "0123456789ABCDEF"
	for i := range len(id) {
		if ch := id[i]; unreserved(ch) {
			b = append(b, ch)
		} else {
			b = append(b, '%', digits[ch>>4], digits[ch&15])
		}
	}
	return b
}

func unreserved(ch byte) bool {
	return 'a' <= ch && ch <= 'z' || 'A' <= ch && ch <= 'Z' || '0' <= ch && ch <= '9' ||
		ch == '-' || ch == '.' || ch == '_' || ch == '~'
}
