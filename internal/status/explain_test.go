package status

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
)

// explainer knows one user of one app, whose id is no text.
func explainer(_ context.Context, app uint32, user string) (any, error) {
	switch {
	case app == 7 && user == "a b&\xff.>":
		return map[string]string{"status": "online"}, nil
	case app == 8:
		return nil, errors.New("the database is away")
	}
	return nil, fmt.Errorf("app %d: %w", app, ErrUnknown)
}

func askExplain(h http.Handler, method, path, header string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, nil)
	if header != "" {
		r.Header.Set(header, "1")
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestExplain(t *testing.T) {
	h := Handler(NewMetrics("v1"), NewChecks(), explainer)
	for _, c := range []struct {
		name, method, query, header string
		status                      int
		body                        string
	}{
		{"known", "GET", "app=7&user=a+b%26%FF.%3E", ExplainHeader, 200, `{"status":"online"}` + "\n"},
		{"unknown user", "GET", "app=7&user=a", ExplainHeader, 404, "app 7: unknown app or user\n"},
		{"cannot be told", "GET", "app=8&user=a", ExplainHeader, 503, "the database is away\n"},
		{"no app", "GET", "user=a", ExplainHeader, 400, "want ?app=ID&user=USER\n"},
		{"no number", "GET", "app=4294967296&user=a", ExplainHeader, 400, "want ?app=ID&user=USER\n"},
		{"no user", "GET", "app=7", ExplainHeader, 400, "want ?app=ID&user=USER\n"},
		{"two users", "GET", "app=7&user=a&user=b", ExplainHeader, 400, "want ?app=ID&user=USER\n"},
		{"no query", "GET", "app=7&user=%zz", ExplainHeader, 400, "want ?app=ID&user=USER\n"},
		{"from a web page", "GET", "app=7&user=a+b%26%FF.%3E", "X-Poller", 403, "the header Sec-Poller is missing\n"},
		{"post", "POST", "app=7&user=a", ExplainHeader, 405, "method not allowed\n"},
	} {
		w := askExplain(h, c.method, "/explain?"+c.query, c.header)
		if w.Code != c.status || w.Body.String() != c.body {
			t.Errorf("%s: got %d %q, want %d %q", c.name, w.Code, w.Body, c.status, c.body)
		}
		if w.Header().Get("X-Content-Type-Options") != "nosniff" || w.Header().Get("Cache-Control") != "no-store" {
			t.Errorf("%s: headers %v", c.name, w.Header())
		}
	}
	if w := askExplain(Handler(NewMetrics("v1"), NewChecks(), nil), "GET", "/explain?app=7&user=a", ExplainHeader); w.Code != 404 {
		t.Errorf("without anything to explain: got %d, want 404", w.Code)
	}
}

// However many ask, they take one connection to the database; who has gone away meanwhile is let go.
func TestExplainOneAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var explaining, asked int32
		end := make(chan struct{})
		h := Handler(NewMetrics("v1"), NewChecks(), func(context.Context, uint32, string) (any, error) {
			atomic.AddInt32(&explaining, 1)
			<-end
			atomic.AddInt32(&explaining, -1)
			atomic.AddInt32(&asked, 1)
			return 1, nil
		})
		var asking sync.WaitGroup
		for range 20 {
			asking.Go(func() {
				if w := askExplain(h, "GET", "/explain?app=7&user=a", ExplainHeader); w.Code != http.StatusOK {
					t.Errorf("got %d %s", w.Code, w.Body)
				}
			})
		}
		synctest.Wait()
		if n := atomic.LoadInt32(&explaining); n != 1 {
			t.Errorf("%d are explained at once, want 1", n)
		}
		r := httptest.NewRequest(http.MethodGet, "/explain?app=7&user=a", nil)
		r.Header.Set(ExplainHeader, "1")
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r.WithContext(ctx))
		if w.Code != http.StatusServiceUnavailable {
			t.Errorf("who has gone away is answered %d, want 503", w.Code)
		}
		close(end)
		asking.Wait()
		if asked != 20 {
			t.Errorf("%d were explained, want 20", asked)
		}
	})
}
