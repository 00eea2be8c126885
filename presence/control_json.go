package presence

import (
	"encoding/json"
	"fmt"
	"strconv"
	"time"
)

// controlWriter writes a message by hand, as events are written: the same fields
// are the same bytes, whatever a library thinks of order and escapes.
type controlWriter struct{ b []byte }

// beginControl writes the envelope and the beginning of the data.
func beginControl(appID uint32, id, sort string, at time.Time) *controlWriter {
	app := strconv.FormatUint(uint64(appID), 10)
	b := make([]byte, 0, 768)
	b = append(b, `{"specversion":"1.0","id":"`+id+`","source":"/zim/`+app+`","type":"`+sort+`","time":"`...)
	b = at.UTC().AppendFormat(b, timeSixPlace)
	b = append(b, `","datacontenttype":"application/json","data":{"app_id":`+app...)
	return &controlWriter{b}
}

func (w *controlWriter) name(field string) { w.b = append(w.b, `,"`+field+`":`...) }

func (w *controlWriter) text(field, text string) {
	w.name(field)
	w.b = appendJSONString(w.b, text)
}

func (w *controlWriter) number(field string, n int64) {
	w.name(field)
	w.b = strconv.AppendInt(w.b, n, 10)
}

func (w *controlWriter) truth(field string, is bool) {
	w.name(field)
	w.b = strconv.AppendBool(w.b, is)
}

// share writes a part of one with four decimals.
func (w *controlWriter) share(field string, part float64) {
	w.name(field)
	w.b = strconv.AppendFloat(w.b, part, 'f', 4, 64)
}

func (w *controlWriter) instant(field string, t time.Time) {
	w.name(field)
	w.b = append(w.b, '"')
	w.b = t.UTC().AppendFormat(w.b, timeSixPlace)
	w.b = append(w.b, '"')
}

func (w *controlWriter) end() []byte { return append(w.b, `}}`...) }

// readControl reads a message of the given type; data is what its data is read
// into. Fields that it does not know are passed over.
func readControl(text []byte, sort string, data any) (id string, err error) {
	w := struct {
		ID   string `json:"id"`
		Type string `json:"type"`
		Data any    `json:"data"`
	}{Data: data}
	if err := json.Unmarshal(text, &w); err != nil {
		return "", fmt.Errorf("read %s: %w", sort, err)
	}
	if w.Type != sort {
		return "", fmt.Errorf("read %s %q: the type is %q", sort, w.ID, w.Type)
	}
	return w.ID, nil
}
