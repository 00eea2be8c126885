package zim

import (
	"net/http"
	"testing"
	"time"
)

// Either form, and nonsense.
func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	for value, want := range map[string]time.Duration{
		"": 0, "0": 0, "7": 7 * time.Second, "1.5": 1500 * time.Millisecond, "-3": 0, "soon": 0, "NaN": 0,
		"86400": 5 * time.Minute, "99999999999": 5 * time.Minute, "99999999999999999999999": 5 * time.Minute, "Inf": 5 * time.Minute,
		"Sun, 22 Nov 2026 12:00:30 GMT": 30 * time.Second, "Sun, 22 Nov 2026 11:00:30 GMT": 0, "Mon, 23 Nov 2026 12:00:30 GMT": 5 * time.Minute,
	} {
		if got := retryAfter(http.Header{"Retry-After": {value}}, now); got != want {
			t.Errorf("Retry-After %q: %s, want %s", value, got, want)
		}
	}
}

// A date is by the server's clock: ours may be an hour off.
func TestRetryAfterByTheServersClock(t *testing.T) {
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	for date, want := range map[string]time.Duration{
		"Sun, 22 Nov 2026 11:00:00 GMT": 30 * time.Second, "Sun, 22 Nov 2026 11:01:00 GMT": 0, "nonsense": 0,
	} {
		header := http.Header{"Retry-After": {"Sun, 22 Nov 2026 11:00:30 GMT"}, "Date": {date}}
		if got := retryAfter(header, now); got != want {
			t.Errorf("with Date %q: %s, want %s", date, got, want)
		}
	}
}
