package ledger

import (
	"context"
	"testing"
	"time"
)

// A registration that was sent is over when the look is: nothing puts the replica
// on the register again once it has left.
func TestRegistrationUnderWayIsWaitedFor(t *testing.T) {
	_, pool := open(t)
	a := registered(t, pool, "a", 1)
	free := lockAside(t, pool, `select from replicas where owner = 'a' for update`)
	before := value[time.Time](t, pool, `select expires_at from replicas where owner = 'a'`)
	a.renewed = time.Time{}
	ctx, cancel := context.WithCancel(t.Context())
	looked := make(chan struct{})
	go func() {
		defer close(looked)
		_, _ = a.Look(ctx) // ends with an error or without
	}()
	eventually(t, "the registration waits for the row", func() bool {
		return value[bool](t, pool, `select exists (select from pg_locks where pid = $1 and not granted)`, a.session.pid)
	})
	cancel()
	select {
	case <-looked:
		t.Error("the look is over, and its registration is not")
	case <-time.After(100 * time.Millisecond): // a pause too short can only let a fault pass
	}
	free()
	<-looked
	if after := value[time.Time](t, pool, `select expires_at from replicas where owner = 'a'`); !after.After(before) {
		t.Errorf("the row expires at %s as before: the registration was given up", after)
	}
	if err := a.Leave(t.Context()); err != nil {
		t.Error(err)
	}
	if n := value[int](t, pool, `select count(*) from replicas`); n != 0 {
		t.Errorf("%d replicas on the register after the only one has left", n)
	}
}
