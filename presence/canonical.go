package presence

import (
	"bytes"
	"time"
)

// parseCanonical reads the very bytes that [Event.Data] writes, many times faster
// than JSON is read. It takes nothing else: where it says no, the slow way says
// what the bytes are, and where it says yes, the slow way reads the same event.
func parseCanonical(data []byte) (e Event, ok bool) {
	r := canonical{left: data, ok: true}
	r.word(`{"specversion":"1.0","id":"`)
	app := r.number()
	r.word(`-`)
	log := r.log()
	r.word(`-`)
	seq := r.number()
	r.word(`","source":"/zim/`)
	source := r.number()
	r.word(`","type":"` + EventType + `","subject":"`)
	subject := r.plain()
	r.word(`","time":"`)
	at := r.take(len(timeSixPlace))
	r.word(`","datacontenttype":"application/json","data":{"app_id":`)
	dataApp := r.number()
	r.word(`,"user_id":"`)
	user := r.plain()
	r.word(`","kind":"`)
	e.Kind = canonicalKind(r.plain())
	r.word(`","from":"`)
	e.From = r.status()
	r.word(`","to":"`)
	e.To = r.status()
	r.word(`","detail":"`)
	e.Detail = r.detail()
	r.word(`","observed_at":"`)
	observed := r.take(len(timeSixPlace))
	r.word(`","after":`)
	e.After = r.after()
	e.ConfirmedAt = r.confirmed()
	r.word(`,"seq":`)
	e.Seq = r.number()
	r.word(`,"prev_seq":`)
	e.PrevSeq = r.number()
	r.word(`,"sweep":`)
	e.Sweep = r.number()
	r.word(`}}`)
	e.ObservedAt = r.time(observed)
	if !r.ok || len(r.left) > 0 || e.Kind == 0 || e.Seq < 1 || e.Seq != seq || app != dataApp || app != source || app > 1<<32-1 ||
		string(subject) != string(user) || string(at) != string(observed) {
		return Event{}, false
	}
	e.AppID, e.Log, e.Encoding, e.User.ID = uint32(app), string(log), e.Transition.Encoding(), string(user)
	return e, true
}

// canonical is what is left to read; once something is not as expected it is not ok
// any more, and nothing that is read counts.
type canonical struct {
	left []byte
	ok   bool
}

func (r *canonical) take(n int) []byte {
	if len(r.left) < n {
		r.ok = false
		return nil
	}
	taken := r.left[:n]
	r.left = r.left[n:]
	return taken
}

func (r *canonical) word(w string) {
	if string(r.take(len(w))) != w {
		r.ok = false
	}
}

// number reads digits as strconv writes them: no sign, no zero before others. Up
// to 18 of them, which never overflow.
func (r *canonical) number() (n int64) {
	digits := 0
	for digits < len(r.left) && r.left[digits]-'0' < 10 {
		digits++
	}
	text := r.take(digits)
	if digits == 0 || digits > 18 || digits > 1 && text[0] == '0' {
		r.ok = false
		return 0
	}
	for _, c := range text {
		n = n*10 + int64(c-'0')
	}
	return n
}

func (r *canonical) log() []byte {
	text := r.take(8)
	for _, c := range text {
		if c-'0' >= 10 && (c < 'a' || c > 'f') {
			r.ok = false
		}
	}
	return text
}

// plain reads up to the next quote what needs no escape in JSON.
func (r *canonical) plain() []byte {
	for i, c := range r.left {
		if c == '"' {
			return r.take(i)
		}
		if c < 0x20 || c >= 0x7f || c == '\\' {
			break
		}
	}
	r.ok = false
	return nil
}

func canonicalKind(word []byte) Kind {
	switch string(word) {
	case "online":
		return KindOnline
	case "offline":
		return KindOffline
	case "baseline":
		return KindBaseline
	case "removed":
		return KindRemoved
	case "stale":
		return KindStale
	}
	return 0 // an erased one is rare, and has another form
}

func (r *canonical) status() Status {
	switch string(r.plain()) {
	case "unknown":
		return Unknown
	case "offline":
		return Offline
	case "online":
		return Online
	}
	r.ok = false
	return Unknown
}

func (r *canonical) detail() Detail {
	switch string(r.plain()) {
	case "":
		return NoDetail
	case "timeout":
		return Timeout
	case "no_session":
		return NoSession
	}
	r.ok = false
	return NoDetail
}

func (r *canonical) after() time.Time {
	if len(r.left) > 0 && r.left[0] == 'n' {
		r.word(`null`)
		return time.Time{}
	}
	r.word(`"`)
	text := r.take(len(timeSixPlace))
	r.word(`"`)
	return r.time(text)
}

// confirmed reads what only EncodingV2 has.
func (r *canonical) confirmed() time.Time {
	const word = `,"confirmed_at":"`
	if !bytes.HasPrefix(r.left, []byte(word)) {
		return time.Time{}
	}
	r.word(word)
	text := r.take(len(timeSixPlace))
	r.word(`"`)
	return r.time(text)
}

// time reads a moment as timeSixPlace writes it.
func (r *canonical) time(text []byte) time.Time {
	if len(text) != len(timeSixPlace) || text[4] != '-' || text[7] != '-' || text[10] != 'T' || text[13] != ':' || text[16] != ':' ||
		text[19] != '.' || text[26] != 'Z' {
		r.ok = false
		return time.Time{}
	}
	year, month, day := r.digits(text[0:4]), r.digits(text[5:7]), r.digits(text[8:10])
	hour, minute, second := r.digits(text[11:13]), r.digits(text[14:16]), r.digits(text[17:19])
	t := time.Date(year, time.Month(month), day, hour, minute, second, r.digits(text[20:26])*1000, time.UTC)
	// Date takes the 30th of February for a day of March.
	if year < 1 || month < 1 || month > 12 || t.Day() != day || hour > 23 || minute > 59 || second > 59 || t.IsZero() {
		r.ok = false
	}
	return t
}

func (r *canonical) digits(text []byte) (n int) {
	for _, c := range text {
		if c-'0' >= 10 {
			r.ok = false
		}
		n = n*10 + int(c-'0')
	}
	return n
}
