package stream

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
)

// Somebody may publish without a client library, and a header that no library reads. It is somebody else's message like
// any other, and its mend is named.
func TestTailIsForeignWithAGarbledHeader(t *testing.T) {
	b := standing(t)
	appendAll(t, b.s, story(1, 2))
	conn, err := net.Dial("tcp", strings.TrimPrefix(b.server.URL(), "nats://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	const header, body = "NATS/1.0\r\nno colon\r\n\r\n", "{}"
	fmt.Fprintf(conn, "CONNECT {\"verbose\":false,\"headers\":true}\r\nHPUB presence.v1.%d.online.x %d %d\r\n%s%s\r\nPING\r\n",
		testApp, len(header), len(header)+len(body), header, body)
	said := bufio.NewScanner(conn)
	for said.Scan() && said.Text() != "PONG" {
		if strings.HasPrefix(said.Text(), "-ERR") {
			t.Fatal(said.Text())
		}
	}
	var foreign *ForeignError
	_, err = b.s.Tail(t.Context())
	for err == nil { // the server answers before it stores
		_, err = b.s.Tail(t.Context())
	}
	if !errors.As(err, &foreign) || foreign.StreamSeq < 2 || !strings.Contains(err.Error(), "nats stream rmm") {
		t.Errorf("Tail: %v, want somebody else's message", err)
	}
}
