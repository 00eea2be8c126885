package zimsim

import (
	"crypto/md5"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
)

const (
	testApp    = 12345
	testSecret = "9193cc662a4c0ec135ec71fb57194b38"
)

func TestMain(m *testing.M) {
	code := m.Run()
	if err := goleak.Find(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// start runs a simulator with one scripted app and no limit, unless change says otherwise.
func start(t testing.TB, change func(*Config)) *Server {
	t.Helper()
	c := Config{Seed: 1, Apps: []AppConfig{{ID: testApp, Secret: testSecret, Rate: -1}}}
	if change != nil {
		change(&c)
	}
	s := New(c)
	if err := s.Start(t.Context(), "127.0.0.1:0", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// browser is a client of its own, whose connections end with the test.
func browser(t testing.TB) *http.Client {
	transport := &http.Transport{MaxIdleConnsPerHost: 100}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// parameters is a valid request's query in pairs; tests change one thing about it.
type parameters [][2]string

var nonceCounter atomic.Uint64

func valid(ids ...string) parameters {
	nonce := fmt.Sprintf("%016x", nonceCounter.Add(1))
	stamp := strconv.FormatInt(time.Now().Unix(), 10)
	p := parameters{{"Action", "QueryUserOnlineState"}, {"AppId", strconv.Itoa(testApp)}, {"SignatureNonce", nonce},
		{"Timestamp", stamp}, {"Signature", sign(testApp, nonce, testSecret, stamp)}, {"SignatureVersion", "2.0"}}
	for _, id := range ids {
		p = append(p, [2]string{"UserId[]", url.QueryEscape(id)})
	}
	return p
}

func sign(app int, nonce, secret, stamp string) string {
	sum := md5.Sum([]byte(strconv.Itoa(app) + nonce + secret + stamp))
	return hex.EncodeToString(sum[:])
}

func (p parameters) set(key, value string) parameters {
	for i := range p {
		if p[i][0] == key {
			p[i][1] = value
		}
	}
	return p
}

// resigned signs again what was changed.
func (p parameters) resigned() parameters {
	app, _ := strconv.Atoi(p.get("AppId"))
	return p.set("Signature", sign(app, p.get("SignatureNonce"), testSecret, p.get("Timestamp")))
}

func (p parameters) get(key string) string {
	for _, pair := range p {
		if pair[0] == key {
			return pair[1]
		}
	}
	return ""
}

func (p parameters) without(key string) (rest parameters) {
	for _, pair := range p {
		if pair[0] != key {
			rest = append(rest, pair)
		}
	}
	return rest
}

func (p parameters) String() string {
	var pairs []string
	for _, pair := range p {
		pairs = append(pairs, pair[0]+"="+pair[1])
	}
	return strings.Join(pairs, "&")
}

// reply is an answer as a suspicious client reads it.
type reply struct {
	status int
	header http.Header
	text   string

	Code      int
	Message   string
	RequestId string
	Result    []struct{ UserId, Status string }
	ErrorList []struct {
		UserId  string
		SubCode int
	}
}

// ask sends the query and reads the answer, which must be JSON if it says so.
func ask(t testing.TB, client *http.Client, base, query string) reply {
	t.Helper()
	r, err := tryAsk(client, base, query)
	if err != nil {
		t.Fatalf("ask: %v", err)
	}
	if strings.HasPrefix(r.header.Get("Content-Type"), "application/json") {
		decode(t, &r)
	}
	return r
}

func decode(t testing.TB, r *reply) {
	t.Helper()
	if err := json.Unmarshal([]byte(r.text), r); err != nil {
		t.Errorf("answer %q: %v", r.text, err)
	}
}

func tryAsk(client *http.Client, base, query string) (reply, error) {
	response, err := client.Get(base + "/?" + query)
	if err != nil {
		return reply{}, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	return reply{status: response.StatusCode, header: response.Header, text: string(text)}, err
}

// said is the answer's users with their words, "660200001" and the like for those in ErrorList.
func (r reply) said() map[string]string {
	said := map[string]string{}
	for _, u := range r.Result {
		said[u.UserId] += u.Status
	}
	for _, u := range r.ErrorList {
		said[u.UserId] += strconv.Itoa(u.SubCode)
	}
	return said
}

// mustSet sets users of the only app.
func mustSet(t testing.TB, s *Server, states map[string]State) {
	t.Helper()
	if _, err := s.App(0).SetAll(states); err != nil {
		t.Fatal(err)
	}
}
