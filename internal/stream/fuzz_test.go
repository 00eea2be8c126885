package stream

import (
	"bytes"
	"encoding/json"
	"errors"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/zim-presence/poller/presence"
)

// FuzzNumbered feeds the reader of the stream's end any header: it is an event of a number above 0, or somebody
// else's message that is named with its mend.
func FuzzNumbered(f *testing.F) {
	for _, header := range []string{
		"", "NATS/1.0\r\nPresence-Seq: 41\r\nNats-Msg-Id: 7-7f3a90c2-41\r\n\r\n", "NATS/1.0\r\nPresence-Seq: 0\r\n\r\n", "NATS/1.0 503\r\n\r\n",
		"NATS/1.0\r\nPresence-Seq: 9223372036854775808\r\n\r\n", "NATS/1.0\r\nPresence-Seq: +1\r\nPresence-Seq: 2\r\n\r\n", "NATS/1.0\r\n",
		"NATS/1.0\r\nNo colon\r\n\r\n", "HTTP/1.1\r\n\r\n", "NATS/1.0\r\npresence-seq: 5\r\n\r\n", "\x00",
	} {
		f.Add([]byte(header))
	}
	s := &Stream{cfg: Config{AppID: testApp}}
	f.Fuzz(func(t *testing.T, header []byte) {
		seq, id, err := s.numbered(stored{Seq: 9, Subject: "presence.v1.1234567890.online.a", Header: header})
		var foreign *ForeignError
		if err != nil {
			if !errors.As(err, &foreign) || foreign.StreamSeq != 9 || foreign.Stream != s.name() {
				t.Errorf("%q: %v, want somebody else's message 9 named", header, err)
			}
			return
		}
		h, err := nats.DecodeHeadersMsg(header)
		if err != nil || seq < 1 || h.Get(presence.HeaderID) != id {
			t.Errorf("%q: event %d, id %q (%v)", header, seq, id, err)
		}
		if n, err := strconv.ParseInt(h.Get(presence.HeaderSeq), 10, 64); err != nil || n != seq {
			t.Errorf("%q: event %d, the header says %q", header, seq, h.Get(presence.HeaderSeq))
		}
	})
}

// FuzzJudge feeds the judge of acks any answer: a publish counts as stored only when the answer says this stream and this
// place, and no error.
func FuzzJudge(f *testing.F) {
	for _, answer := range []string{
		storedAs(7), storedAs(8), "", "null", "{}", "[]", `{"stream":"PRESENCE_1234567890","seq":7,"duplicate":true}`, `{"stream":"OTHER","seq":7}`,
		`{"stream":"PRESENCE_1234567890","seq":7,"error":{"code":400,"err_code":10071,"description":"wrong last sequence: 6"}}`,
		`{"stream":"PRESENCE_1234567890","seq":7,"error":null}`, `{"stream":"PRESENCE_1234567890","seq":-7}`, `{"seq":7,"SEQ":8,"stream":"PRESENCE_1234567890"}`,
		`{"stream":"PRESENCE_1234567890","seq":7}x`, `{"error":{}}`,
	} {
		f.Add([]byte(answer), "503", uint64(7))
		f.Add([]byte(answer), "", uint64(7))
	}
	s := &Stream{cfg: Config{AppID: testApp}}
	f.Fuzz(func(t *testing.T, answer []byte, status string, want uint64) {
		err := judge(&nats.Msg{Data: answer, Header: nats.Header{"Status": {status}}}, s.name(), want)
		if err != nil {
			if err.Error() == "" {
				t.Errorf("%q: an error without a word", answer)
			}
			return
		}
		if says := readAck(answer); !repeatsNames(answer) && says != (plainAck{Stream: s.name(), Seq: want}) {
			t.Errorf("%q counts as stored at %d; it says %+v", answer, want, says)
		}
	})
}

// plainAck is what an ack says, read in another way.
type plainAck struct {
	Stream           string
	Seq              uint64
	Duplicate, Error bool
}

func readAck(answer []byte) (a plainAck) {
	d := json.NewDecoder(bytes.NewReader(answer))
	d.UseNumber()
	var fields map[string]any
	if d.Decode(&fields) != nil {
		return plainAck{}
	}
	for name, value := range fields {
		switch v := value.(type) {
		case string:
			if strings.EqualFold(name, "stream") {
				a.Stream = v
			}
		case json.Number:
			if strings.EqualFold(name, "seq") {
				a.Seq, _ = strconv.ParseUint(v.String(), 10, 64)
			}
		case bool:
			a.Duplicate = a.Duplicate || strings.EqualFold(name, "duplicate") && v
		case map[string]any:
			a.Error = a.Error || strings.EqualFold(name, "error")
		}
	}
	return a
}

// repeatsNames tells whether the answer may have a name twice, in whatever case; what counts then is not defined.
func repeatsNames(answer []byte) bool {
	for _, name := range []string{"stream", "seq", "duplicate", "error"} {
		if len(regexp.MustCompile(`(?i)"`+name+`"`).FindAll(answer, 2)) > 1 {
			return true
		}
	}
	return bytes.Contains(answer, []byte(`\u`))
}
