package ledger

import (
	"testing"
	"time"
)

// An adopter that stands still in the end of its work lets the app's row go.
func TestAdoptionThatStandsStillIsUndone(t *testing.T) {
	l, pool := open(t)
	lease, err := l.Seize(t.Context(), terms)
	if err != nil {
		t.Fatal(err)
	}
	a, err := lease.Adopt(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	if a.idle != adoptIdle {
		t.Errorf("stands still for %s, want %s", a.idle, adoptIdle)
	}
	a.idle = time.Second
	f := &finish{Adoption: a}
	if err := f.fence(t.Context()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the row of the app is free", func() bool {
		return value[bool](t, pool, `select exists (select from apps where app_id = $1 for update skip locked)`, int64(app))
	})
	if err := f.enroll(t.Context()); err == nil {
		t.Error("it goes on behind its end: no error")
	}
	if err := lease.Release(t.Context(), time.Time{}); err != nil {
		t.Error(err)
	}
}
