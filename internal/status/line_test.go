package status

import (
	"errors"
	"testing"
	"time"
)

func TestOneLine(t *testing.T) {
	cause := errors.New("failed to connect to `user=poller`:\n\t127.0.0.1:5432: refused\n\t127.0.0.1:5432: refused\n\t[::1]:5432: refused")
	const want = "failed to connect to `user=poller`: 127.0.0.1:5432: refused; [::1]:5432: refused"
	checks := NewChecks()
	checks.Set("postgres", cause)
	checks.Watch("sweep", func(time.Time) error { return cause })
	_, judged := checks.Judge()
	for _, c := range judged {
		if c.Err.Error() != want || !errors.Is(c.Err, cause) {
			t.Errorf("%s says %q, which is the cause: %t; want %q, which is", c.Name, c.Err, errors.Is(c.Err, cause), want)
		}
	}
	for text, want := range map[string]string{"as it is": "as it is", "\n": "", "\na\n": "a"} {
		if got := oneLine(errors.New(text)).Error(); got != want {
			t.Errorf("%q is said as %q, want %q", text, got, want)
		}
	}
	if err := oneLine(nil); err != nil {
		t.Errorf("no error is said as %v", err)
	}
}
