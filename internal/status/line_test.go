package status

import (
	"errors"
	"testing"
)

func TestOneLine(t *testing.T) {
	cause := errors.New("failed to connect to `user=poller`:\n\t127.0.0.1:5432: refused\n\t127.0.0.1:5432: refused\n\t[::1]:5432: refused")
	checks := NewChecks()
	checks.Set("postgres", cause)
	_, judged := checks.Judge()
	got, want := judged[0].Err, "failed to connect to `user=poller`: 127.0.0.1:5432: refused; [::1]:5432: refused"
	if got.Error() != want || !errors.Is(got, cause) {
		t.Errorf("got %q, which is the cause: %t; want %q, which is", got, errors.Is(got, cause), want)
	}
	for text, want := range map[string]string{"as it is ": "as it is ", "\n": "", "\na\n": "a"} {
		if got := oneLine(errors.New(text)).Error(); got != want {
			t.Errorf("%q is said as %q, want %q", text, got, want)
		}
	}
	if err := oneLine(nil); err != nil {
		t.Errorf("no error is said as %v", err)
	}
}
