package zimsim

import (
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"
)

func TestOfficialSignature(t *testing.T) {
	q := query{}
	q.read("AppId=12345&SignatureNonce=4fd24687296dd9f3&Timestamp=1615186943&Signature=43e5cfcca828314675f91b001390566a")
	if no := q.checkSignature("9193cc662a4c0ec135ec71fb57194b38"); no != nil {
		t.Errorf("official vector: %+v", no)
	}
	if no := q.checkSignature("9193cc662a4c0ec135ec71fb57194b39"); no == nil {
		t.Error("official vector with another secret: accepted")
	}
}

func many(n int) (ids []string) {
	for i := range n {
		ids = append(ids, fmt.Sprintf("user%d", i))
	}
	return ids
}

// Every case is a valid request with exactly one thing changed.
func TestRefusals(t *testing.T) {
	s := start(t, nil)
	client := browser(t)
	stamp := func(off time.Duration) string { return strconv.FormatInt(time.Now().Add(off).Unix(), 10) }
	for _, test := range []struct {
		name  string
		query string
		code  int
	}{
		{"no change", valid("a").String(), codeNoSession},
		{"encoded brackets", strings.Replace(valid("a").String(), "UserId[]", "UserId%5B%5D", 1), codeNoSession},
		{"encoded brackets, lower", strings.Replace(valid("a").String(), "UserId[]", "UserId%5b%5d", 1), codeNoSession},
		{"a hundred", valid(many(100)...).String(), codeNoSession},
		{"id of 32 bytes", valid(strings.Repeat("x", 32)).String(), codeNoSession},
		{"every legal character", valid("!#$%&()+-:;<=.>?@[]^_{}|~ 09azAZ").String(), codeNoSession},
		{"upper-case nonce", valid("a").set("SignatureNonce", "ABCDEF0123456789").resigned().String(), codeNoSession},
		{"9 minutes slow", valid("a").set("Timestamp", stamp(-9*time.Minute)).resigned().String(), codeNoSession},
		{"9 minutes fast", valid("a").set("Timestamp", stamp(9*time.Minute)).resigned().String(), codeNoSession},

		{"key without brackets", strings.Replace(valid("a").String(), "UserId[]", "UserId", 1), codeParameter},
		{"key with index", strings.Replace(valid("a").String(), "UserId[]", "UserId[0]", 1), codeParameter},
		{"no action", valid("a").without("Action").String(), codeParameter},
		{"other action", valid("a").set("Action", "QueryUserInfos").String(), codeAction},
		{"action in lower case", valid("a").set("Action", "queryuseronlinestate").String(), codeAction},
		{"no app", valid("a").without("AppId").String(), codeParameter},
		{"other app", valid("a").set("AppId", "54321").resigned().String(), codeUnknownApp},
		{"app with zero in front", valid("a").set("AppId", "012345").resigned().String(), codeParameter},
		{"app over 32 bits", valid("a").set("AppId", "4294979641").resigned().String(), codeParameter},
		{"no nonce", valid("a").without("SignatureNonce").String(), codeParameter},
		{"short nonce", valid("a").set("SignatureNonce", "123456789abcdef").resigned().String(), codeParameter},
		{"nonce not hex", valid("a").set("SignatureNonce", "123456789abcdefg").resigned().String(), codeParameter},
		{"no timestamp", valid("a").without("Timestamp").String(), codeParameter},
		{"timestamp in milliseconds", valid("a").set("Timestamp", stamp(0)+"000").resigned().String(), codeExpired},
		{"timestamp with fraction", valid("a").set("Timestamp", stamp(0)+".0").resigned().String(), codeParameter},
		{"11 minutes slow", valid("a").set("Timestamp", stamp(-11*time.Minute)).resigned().String(), codeExpired},
		{"11 minutes fast", valid("a").set("Timestamp", stamp(11*time.Minute)).resigned().String(), codeExpired},
		{"no signature", valid("a").without("Signature").String(), codeParameter},
		{"wrong signature", valid("a").set("Signature", strings.Repeat("0", 32)).String(), codeSignature},
		{"upper-case signature", func() string {
			p := valid("a").set("SignatureNonce", "00000000deadbeef").resigned()
			return p.set("Signature", strings.ToUpper(p.get("Signature"))).String()
		}(), codeSignature},
		{"no version", valid("a").without("SignatureVersion").String(), codeParameter},
		{"version 1.0", valid("a").set("SignatureVersion", "1.0").String(), codeVersion},
		{"parameter twice", valid("a").String() + "&Action=QueryUserOnlineState", codeParameter},
		{"unknown parameter", valid("a").String() + "&Extra=1", codeParameter},
		{"parameter without value", valid("a").String() + "&Extra", codeParameter},
		{"no ids", valid().String(), codeParameter},
		{"101 ids", valid(many(101)...).String(), codeTooMany},
		{"id twice", valid("a", "b", "a").String(), codeParameter},
		{"empty id", valid("").String(), codeLongID},
		{"id of 33 bytes", valid(strings.Repeat("x", 33)).String(), codeLongID},
		{"id with a slash", valid("a/b").String(), codeBadID},
		{"id with a quote", valid(`a"b`).String(), codeBadID},
		{"id with an umlaut", valid("ä").String(), codeBadID},
		{"id with a line feed", valid("a\nb").String(), codeBadID},
		{"bad id among good ones", valid("a", "b/", "c").String(), codeBadID},
		{"raw semicolon", valid("a").String() + "&UserId[]=a;b", codeParameter},
		{"raw equals sign", valid("a").String() + "&UserId[]=a=b", codeParameter},
		{"bad escape", valid("a").String() + "&UserId[]=a%2", codeParameter},
	} {
		r := ask(t, client, s.URL(), test.query)
		if r.status != 200 || r.Code != test.code {
			t.Errorf("%s: got %d %q, want code %d", test.name, r.status, r.text, test.code)
		}
		if test.code != codeNoSession && len(r.Result)+len(r.ErrorList) > 0 {
			t.Errorf("%s: refused with data: %q", test.name, r.text)
		}
	}
}

func TestRepeatedNonce(t *testing.T) {
	s := start(t, nil)
	client := browser(t)
	p := valid("a").set("SignatureNonce", "00000000cafebabe").resigned()
	upper := valid("a").set("SignatureNonce", "00000000CAFEBABE").resigned()
	for i, test := range []struct {
		query string
		code  int
	}{{p.String(), codeNoSession}, {p.String(), codeNonce}, {upper.String(), codeNonce}} {
		if r := ask(t, client, s.URL(), test.query); r.Code != test.code {
			t.Errorf("request %d: got %q, want code %d", i, r.text, test.code)
		}
	}
	stats := s.App(0).Stats()
	if stats.RepeatedNonces != 2 || stats.Refused[strconv.Itoa(codeNonce)] != 2 || stats.Arrivals != 3 {
		t.Errorf("books: %+v", stats)
	}
}

// Each case changes one thing about the HTTP request around a valid query.
func TestRefusedRequests(t *testing.T) {
	s := start(t, nil)
	client := browser(t)
	long := valid(many(100)...)
	for len(long.String()) < 8192 {
		long = append(long, [2]string{"UserId[]", strings.Repeat("%7B", 32)})
	}
	for _, test := range []struct {
		name, method, path, query string
		header                    string
		body                      io.Reader
		status                    int
	}{
		{name: "no change", status: 200},
		{name: "post", method: "POST", status: 405},
		{name: "head", method: "HEAD", status: 405},
		{name: "path", path: "/v1", status: 404},
		{name: "expect", header: "100-continue", status: 417},
		{name: "body", body: strings.NewReader("x"), status: 400},
		{name: "chunked body", body: io.MultiReader(strings.NewReader("x")), status: 400},
		{name: "long line", query: long.String(), status: 414},
	} {
		if test.method == "" {
			test.method = "GET"
		}
		if test.path == "" {
			test.path = "/"
		}
		if test.query == "" {
			test.query = valid("a").String()
		}
		request, err := http.NewRequestWithContext(t.Context(), test.method, s.URL()+test.path+"?"+test.query, test.body)
		if err != nil {
			t.Fatal(err)
		}
		if test.header != "" {
			request.Header.Set("Expect", test.header)
		}
		response, err := client.Do(request)
		if err != nil {
			t.Errorf("%s: %v", test.name, err)
			continue
		}
		text, _ := io.ReadAll(response.Body)
		response.Body.Close()
		if response.StatusCode != test.status {
			t.Errorf("%s: got %d, want %d", test.name, response.StatusCode, test.status)
		}
		if test.status != 200 && test.method != "HEAD" && !strings.Contains(string(text), "<html>") {
			t.Errorf("%s: got body %q, want a page", test.name, text)
		}
	}
	if got := s.App(0).Stats().Arrivals; got != 8 {
		t.Errorf("%d arrivals, want 8: refused ones count", got)
	}
}

// The request line may have exactly 8192 bytes.
func TestLongestLine(t *testing.T) {
	s := start(t, nil)
	client := browser(t)
	for _, test := range []struct{ line, status int }{{8192, 200}, {8193, 414}} {
		query := valid("a").String()
		rest := test.line - len("GET /? HTTP/1.1") - len(query)
		query += "&UserId[]=" + strings.Repeat("x", rest-len("&UserId[]="))
		if r := ask(t, client, s.URL(), query); r.status != test.status {
			t.Errorf("line of %d: got %d, want %d", test.line, r.status, test.status)
		}
	}
}
