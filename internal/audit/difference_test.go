package audit

import "testing"

func TestDifference(t *testing.T) {
	event := published{"log-1", "presence.v1.7.online.a", "application/cloudevents+json", []byte(`{"id":"log-1","data":{"seq":1,"to":"online","after":null}}`)}
	for name, c := range map[string]struct {
		change func(*published)
		want   string
	}{
		"none":            {func(*published) {}, ""},
		"id":              {func(p *published) { p.id = "log-2" }, `the header Nats-Msg-Id: stream "log-2", ledger "log-1"`},
		"no content type": {func(p *published) { p.contentType = "" }, `the header Content-Type: stream nothing, ledger "application/cloudevents+json"`},
		"subject":         {func(p *published) { p.subject = "presence.v1.7.offline.a" }, `the subject: stream "presence.v1.7.offline.a", ledger "presence.v1.7.online.a"`},
		"a field":         {func(p *published) { p.data = []byte(`{"id":"log-1","data":{"seq":1,"to":"offline","after":null}}`) }, `data.to: stream "offline", ledger "online"`},
		"a number":        {func(p *published) { p.data = []byte(`{"id":"log-1","data":{"seq":2,"to":"offline","after":null}}`) }, `data.seq: stream 2, ledger 1`},
		"a field is gone": {func(p *published) { p.data = []byte(`{"id":"log-1","data":{"seq":1,"to":"online"}}`) }, `data.after: stream nothing, ledger null`},
		"a field is added": {func(p *published) {
			p.data = []byte(`{"id":"log-1","data":{"seq":1,"to":"online","after":null},"x":1}`)
		}, `byte 57: stream ",\"x\":1}", ledger "}"`},
		"a blank":   {func(p *published) { p.data = []byte(`{"id":"log-1", "data":{"seq":1,"to":"online","after":null}}`) }, `byte 14: stream " \"data\":{\"seq\":1,\"to\":\"online\",\"after\":null}}", ledger "\"data\":{\"seq\":1,\"to\":\"online\",\"after\":null}}"`},
		"no object": {func(p *published) { p.data = []byte(`hello`) }, `byte 0: stream "hello", ledger "{\"id\":\"log-1\",\"data\":{\"seq\":1,\"to\":\"online\",\"after\":null}}"`},
		"nothing":   {func(p *published) { p.data = nil }, `byte 0: stream nothing, ledger "{\"id\":\"log-1\",\"data\":{\"seq\":1,\"to\":\"online\",\"after\":null}}"`},
	} {
		stream := event
		c.change(&stream)
		if got := difference(stream, event); got != c.want {
			t.Errorf("%s: %s\nwant %s", name, got, c.want)
		}
	}
}
