package page

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/zim-presence/poller/presence"
)

// Who opens the list sees what was told before, and then each event as it is told.
func TestLiveList(t *testing.T) {
	r := newRig(t, nil)
	r.cfg.Live.Put(event(1, 1, presence.KindBaseline), 30*time.Millisecond)
	v := r.view("")
	first, _ := v.next()
	want := Batch{Before: true, Events: []Told{{
		App: 1, Seq: 1, User: "u1", Kind: "baseline", From: "online", To: "offline", Detail: "timeout", At: begin.Add(time.Second), Delay: 0.03,
	}}}
	if diff := cmp.Diff(want, first); diff != "" {
		t.Errorf("the first batch (-want +got):\n%s", diff)
	}
	r.cfg.Live.Put(event(2, 7, presence.KindOnline), 1234567*time.Microsecond)
	next, _ := v.next()
	want = Batch{Events: []Told{{
		App: 2, Seq: 7, User: "u7", Kind: "online", From: "offline", To: "online", After: "2026-11-22T18:42:43.120114Z", At: begin.Add(7 * time.Second), Delay: 1.2346,
	}}}
	if diff := cmp.Diff(want, next); diff != "" {
		t.Errorf("the next one (-want +got):\n%s", diff)
	}
}

// A browser is shown what it asks for: of an app, of a kind, of users with a part of an id.
func TestLiveFilter(t *testing.T) {
	r := newRig(t, nil)
	put := func() {
		for seq := range int64(40) {
			for app := range uint32(3) {
				r.cfg.Live.Put(event(app+1, seq+1, presence.KindOnline+presence.Kind(seq%2)), 0)
			}
		}
	}
	put()
	for query, want := range map[string]int{
		"": 120, "?app=2": 40, "?kind=online": 60, "?app=1&kind=offline": 20, "?user=u1": 33, "?user=u40&app=3": 1, "?user=U40": 0, "?app=9": 0, "?app=&kind=&user=": 120,
	} {
		v := r.view(query)
		first, _ := v.next()
		if len(first.Events) != want || !first.Before || first.Passed != 0 {
			t.Errorf("live list%s begins with %d events, %d passed over, want %d", query, len(first.Events), first.Passed, want)
		}
		v.close()
	}
	v := r.view("?app=2&kind=offline")
	v.next()
	put()
	shown, passed := v.gather(20)
	for i, e := range shown {
		if e.App != 2 || e.Kind != "offline" || e.Seq != int64(2*i+2) {
			t.Errorf("event %d is %+v", i, e)
		}
	}
	if len(shown) != 20 || passed != 0 {
		t.Errorf("%d shown, %d passed over", len(shown), passed)
	}
}

// Of one app the newest 200 are kept for whoever comes, however much was told of others since.
func TestNewestOfEachApp(t *testing.T) {
	r := newRig(t, nil)
	for seq := range int64(300) {
		r.cfg.Live.Put(event(1, seq+1, presence.KindOnline), 0)
	}
	for seq := range int64(kept + 10) {
		r.cfg.Live.Put(event(2, seq+1, presence.KindOnline), 0)
	}
	for query, first := range map[string]int64{"?app=1": 101, "?app=2": kept + 10 - 199, "": kept + 10 - 199} {
		v := r.view(query)
		b, _ := v.next()
		if len(b.Events) != shownBefore || b.Events[0].Seq != first {
			t.Errorf("live list%s begins with %d events from %d on, want %d from %d", query, len(b.Events), b.Events[0].Seq, shownBefore, first)
		}
		v.close()
	}
}

// What is forgotten is shown to nobody, neither to who comes nor to who has not read it yet; what is told later is.
func TestForget(t *testing.T) {
	l := NewLive()
	late := &browser{live: l, buffer: make([]told, 0, atOnce)}
	if _, err := l.join(late, 0); err != nil {
		t.Fatal(err)
	}
	for seq := range int64(10) {
		l.Put(event(1, seq+1, presence.KindOnline), 0)
		l.Put(event(2, seq+1, presence.KindOnline), 0)
	}
	l.Forget(1)
	l.Put(event(1, 11, presence.KindOnline), 0)
	if b := late.gather(); len(b.Events) != 11 || b.Events[10].App != 1 || b.Passed != 10 {
		t.Errorf("who reads late is shown %v and passes over %d", b.Events, b.Passed)
	}
	for app, want := range map[uint32]int{0: 11, 1: 1, 2: 10} {
		fresh := &browser{live: l, only: filter{app: app}, buffer: make([]told, 0, atOnce)}
		before, err := l.join(fresh, app)
		if app == 0 {
			before = fresh.past()
		}
		if err != nil || len(before) != want {
			t.Errorf("who comes to app %d is shown %d, %v, want %d", app, len(before), err, want)
		}
	}
}

// Whatever is told and however seldom a browser reads, it is shown the events that it wants in the order in which they
// were told, each once, and is told how many it was not shown.
func TestShownAndPassedOver(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := NewLive()
		only := filter{app: rapid.SampledFrom([]uint32{0, 1, 2}).Draw(t, "app"), kind: rapid.SampledFrom([]presence.Kind{0, presence.KindOnline}).Draw(t, "kind")}
		only.user = rapid.SampledFrom([]string{"", "u1", "7"}).Draw(t, "user")
		for seq := range rapid.Int64Range(0, 500).Draw(t, "before") {
			l.Put(event(1, seq+1, presence.KindOnline), 0)
		}
		b := &browser{live: l, only: only, buffer: make([]told, 0, atOnce)}
		if _, err := l.join(b, only.app); err != nil {
			t.Fatal(err)
		}
		var seq [3]int64
		newest := [3]int64{500, 500, 500}
		for range rapid.IntRange(1, 6).Draw(t, "reads") {
			var wanted, lost int
			n := rapid.SampledFrom([]int{0, 1, 50, atOnce - 1, atOnce, atOnce + 1, 2000, kept, kept + 1, kept + 777}).Draw(t, "told")
			for i := range n {
				app := uint32(i*7%2 + 1)
				seq[app]++
				e := event(app, 500+seq[app], presence.KindOnline+presence.Kind(i/2%2))
				l.Put(e, 0)
				kept := n-i <= kept
				if !kept {
					lost++
				} else if t := (told{app: app, kind: e.Kind, user: e.User.ID}); only.takes(&t) {
					wanted++
				}
			}
			batch := b.gather()
			if got := len(batch.Events) + batch.Passed; got != wanted+lost || len(batch.Events) > mostShown || len(batch.Events) < min(wanted, mostShown) {
				t.Fatalf("of %d told, %d wanted and %d lost: %d shown, %d passed over", n, wanted, lost, len(batch.Events), batch.Passed)
			}
			for _, e := range batch.Events {
				if e.Seq <= newest[e.App] {
					t.Fatalf("event %d of app %d behind %d", e.Seq, e.App, newest[e.App])
				}
				newest[e.App] = e.Seq
			}
		}
	})
}

// At a thousand events a second a browser is sent at most four batches a second of a hundred events each, and all are
// shown or counted; one that reads nothing holds up neither it nor whoever tells.
func TestManyEvents(t *testing.T) {
	r := newRig(t, nil)
	mute := r.mute(t)
	defer mute.Close()
	v := r.view("")
	v.next()
	const events = 2000
	began, slowest := time.Now(), time.Duration(0)
	var telling sync.WaitGroup
	telling.Go(func() {
		for seq := range int64(events) {
			put := time.Now()
			r.cfg.Live.Put(event(1, seq+1, presence.KindOnline), 0)
			slowest = max(slowest, time.Since(put))
			<-time.After(time.Until(began.Add(time.Duration(seq) * time.Millisecond)))
		}
	})
	var newest int64
	shown, passed, batches := 0, 0, 0
	for shown+passed < events {
		b, over := v.next()
		if over || len(b.Events) > 100 || len(b.Events) == 0 {
			t.Fatalf("a batch of %d events, over: %t", len(b.Events), over)
		}
		for _, e := range b.Events {
			if e.Seq <= newest {
				t.Fatalf("event %d behind %d", e.Seq, newest)
			}
			newest = e.Seq
		}
		shown, passed, batches = shown+len(b.Events), passed+b.Passed, batches+1
	}
	took := time.Since(began)
	telling.Wait()
	if shown+passed != events || newest != events || float64(batches) > took.Seconds()*4+2 {
		t.Errorf("%d shown, %d passed over, the newest is %d, in %d batches and %s", shown, passed, newest, batches, took)
	}
	t.Logf("%d shown, %d passed over in %d batches and %s; the slowest Put took %s", shown, passed, batches, took, slowest)
}

// mute opens the live list over a connection with small buffers, and reads nothing but the beginning.
func (r *rig) mute(t testing.TB) net.Conn {
	t.Helper()
	dialer := net.Dialer{Timeout: patience}
	conn, err := dialer.DialContext(t.Context(), "tcp", r.server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	_ = conn.(*net.TCPConn).SetReadBuffer(4096)
	fmt.Fprintf(conn, "GET /api/transitions HTTP/1.1\r\nHost: localhost\r\n\r\n")
	begin := make([]byte, 12)
	if _, err := conn.Read(begin); err != nil || !strings.HasSuffix(string(begin), "200") {
		t.Fatalf("%q, %v", begin, err)
	}
	return conn
}

func (l *Live) looking() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.browsers)
}

// small serves r's page where the kernel keeps little for who does not read, and where the server has deadlines.
func (r *rig) small(t *testing.T, limit time.Duration) {
	t.Helper()
	page, err := New(r.cfg, http.NotFoundHandler())
	if err != nil {
		t.Fatal(err)
	}
	r.server = httptest.NewUnstartedServer(page)
	r.server.Config.ReadTimeout, r.server.Config.WriteTimeout = limit, limit
	r.server.Config.ConnContext = func(ctx context.Context, c net.Conn) context.Context {
		_ = c.(*net.TCPConn).SetWriteBuffer(4096)
		return ctx
	}
	r.server.Start()
	server := r.server
	t.Cleanup(func() {
		r.cfg.Live.Close()
		server.Close()
	})
}

// A browser that reads nothing is dropped after a while, and the others go on.
func TestDropsWhoDoesNotRead(t *testing.T) {
	r := newRig(t, nil)
	r.cfg.Live.patience = 200 * time.Millisecond
	r.small(t, patience)
	mute := r.mute(t)
	defer mute.Close()
	v := r.view("")
	v.next()
	if n := r.cfg.Live.looking(); n != 2 {
		t.Fatalf("%d browsers look", n)
	}
	var seq int64
	until(t, "the one that does not read being dropped", func() bool {
		for range 200 {
			seq++
			r.cfg.Live.Put(event(1, seq, presence.KindOnline), 0)
		}
		return r.cfg.Live.looking() == 1
	})
	if shown, passed := v.gather(int(seq)); len(shown)+passed != int(seq) {
		t.Errorf("the other one: %d shown, %d passed over, want %d", len(shown), passed, seq)
	}
}

// The server's deadlines for requests do not end a list.
func TestOutlivesTheServersDeadlines(t *testing.T) {
	r := newRig(t, nil)
	const limit = 300 * time.Millisecond
	r.small(t, limit)
	v := r.view("")
	v.next()
	<-time.After(4 * limit)
	r.cfg.Live.Put(event(1, 1, presence.KindOnline), 0)
	if b, over := v.next(); over || len(b.Events) != 1 {
		t.Errorf("after the deadlines: %+v, over: %t", b, over)
	}
}

// No more than so many browsers look on; the place of one that goes is free.
func TestMostBrowsers(t *testing.T) {
	r := newRig(t, nil)
	var all []*viewer
	for range MostBrowsers {
		v := r.view("")
		v.next()
		all = append(all, v)
	}
	if got := r.get("/api/transitions"); got.status != http.StatusServiceUnavailable || got.header.Get("Retry-After") == "" || strings.Contains(got.header.Get("Content-Type"), "stream") {
		t.Errorf("one more: %v", got)
	}
	if got := r.get("/api/board"); got.status != http.StatusOK {
		t.Errorf("the board meanwhile: %v", got)
	}
	all[3].close()
	until(t, "a free place", func() bool { return r.cfg.Live.looking() < MostBrowsers })
	v := r.view("")
	if _, over := v.next(); over {
		t.Error("the next one was not taken")
	}
}

// Closing ends every list at once, also one that waits for its browser to read, and takes no other.
func TestClose(t *testing.T) {
	r := newRig(t, nil)
	r.small(t, time.Hour) // nothing but the closing ends a write
	r.cfg.Live.patience = time.Hour
	mute := r.mute(t)
	defer mute.Close()
	v := r.view("")
	v.next()
	for seq := int64(0); seq < 1200; { // more than the connection holds for the one that does not read
		for range 100 {
			seq++
			r.cfg.Live.Put(event(1, seq, presence.KindOnline), 0)
		}
		v.next()
	}
	var closing sync.WaitGroup
	for range 3 {
		closing.Go(r.cfg.Live.Close)
	}
	closing.Wait()
	for over := false; !over; {
		_, over = v.next()
	}
	until(t, "the end of every list", func() bool { return r.cfg.Live.looking() == 0 })
	if got := r.get("/api/transitions"); got.status != http.StatusServiceUnavailable {
		t.Errorf("after the end: %v", got)
	}
	r.cfg.Live.Put(event(1, 1201, presence.KindOnline), 0)
	r.server.Close() // waits for every request
}

// BenchmarkPut is what an event costs whoever tells it, while 32 browsers look on that do not read.
func BenchmarkPut(b *testing.B) {
	r := newRig(b, nil)
	for range MostBrowsers {
		conn := r.mute(b)
		defer conn.Close()
	}
	e := event(1, 1, presence.KindOnline)
	b.ReportAllocs()
	for b.Loop() {
		r.cfg.Live.Put(e, time.Millisecond)
	}
}

// BenchmarkPutWhileRead is the same while 32 browsers read, with a filter that takes nobody, as fast as they can.
func BenchmarkPutWhileRead(b *testing.B) {
	l := NewLive()
	e := event(1, 1, presence.KindOnline)
	ctx, cancel := context.WithCancel(b.Context())
	var reading sync.WaitGroup
	defer reading.Wait()
	defer cancel()
	for range MostBrowsers {
		reader := &browser{live: l, only: filter{user: "nobody"}, buffer: make([]told, 0, atOnce)}
		if _, err := l.join(reader, 0); err != nil {
			b.Fatal(err)
		}
		reading.Go(func() {
			ticker := time.NewTicker(tick)
			defer ticker.Stop()
			for ctx.Err() == nil {
				reader.gather()
				select {
				case <-ticker.C:
				case <-ctx.Done():
				}
			}
		})
	}
	b.ReportAllocs()
	for b.Loop() {
		l.Put(e, time.Millisecond)
	}
}
