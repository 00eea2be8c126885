package ledger

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/zim-presence/poller/presence"
)

// seize takes the lease by force for as long as the test lasts.
func seize(t testing.TB, l *Ledger) *Lease {
	t.Helper()
	lease, err := l.Seize(t.Context(), Terms{Owner: "taker", TTL: terms.TTL, Window: terms.Window})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := lease.Release(context.Background(), time.Time{}); err != nil {
			t.Error(err)
		}
	})
	return lease
}

// A lease is seized from a holder who is alive: who writes nothing from then on,
// notices, and waits like anybody. Whoever comes next sends nothing before the
// old holder's lease would have ended, also when the taker is killed.
func TestSeize(t *testing.T) {
	l, pool := open(t)
	first := win(t, l)
	alice := enroll(t, first, "alice")["alice"].User
	ends := value[time.Time](t, pool, `select expires_at from apps where app_id = $1`, app)
	second := seize(t, l)
	if err := first.Commit(t.Context(), baseline(1, alice, presence.Online, morning), 1); !errors.Is(err, ErrFenced) {
		t.Errorf("a commit of the old holder: %v, want ErrFenced", err)
	}
	held, free := first.While(t.Context())
	defer free()
	select {
	case <-held.Done():
	case <-time.After(until):
		t.Fatal("the old holder does not notice")
	}
	var by *HeldError
	if _, err := l.TryAcquire(t.Context(), terms); !errors.As(err, &by) || by.Owner != "taker" {
		t.Errorf("another taker: %v, want held by the one who seized it", err)
	}
	for name, end := range map[string]func(){
		"released": func() {
			if err := second.Release(t.Context(), time.Time{}); err != nil {
				t.Fatal(err)
			}
		},
		"killed": func() {
			execute(t, pool, `update apps set session_start = session_start - interval '1 s' where app_id = $1`, app)
		},
	} {
		if name == "killed" {
			second = seize(t, l)
		}
		end()
		third := win(t, l)
		if free := third.NotBefore(); free.Before(ends.Add(terms.Window - 100*time.Millisecond)) {
			t.Errorf("%s: the next holder may send at %s, the old one until %s", name, free, ends)
		}
		if err := third.Release(t.Context(), time.Time{}); err != nil {
			t.Fatal(err)
		}
	}
}

// A lease that nobody holds, of an app that nobody knows, is seized as well, and
// its next holder need not wait.
func TestSeizeWhatIsFree(t *testing.T) {
	l, _ := open(t)
	first := seize(t, l)
	if err := first.Release(t.Context(), time.Time{}); err != nil {
		t.Fatal(err)
	}
	if wait := time.Until(win(t, l).NotBefore()); wait > 0 {
		t.Errorf("the next holder waits %s, want 0", wait)
	}
}

// The database is restored under a holder to a state in which its lease was not
// won yet, and another takes it: under the same epoch. The first must notice, and
// must not give back what is the other's.
func TestSameEpochInARestoredDatabase(t *testing.T) {
	l, pool := open(t)
	first := win(t, l)
	execute(t, pool, `update apps set epoch = epoch - 1, owner = null, expires_at = null, session_pid = null, session_start = null where app_id = $1`, app)
	other, err := l.TryAcquire(t.Context(), Terms{Owner: "other", TTL: terms.TTL, Window: terms.Window})
	if err != nil {
		t.Fatal(err)
	}
	if other.Epoch() != first.Epoch() {
		t.Fatalf("epochs %d and %d: the test does not do what it is for", first.Epoch(), other.Epoch())
	}
	if _, err := first.Enroll(t.Context(), []string{"alice"}); !errors.Is(err, ErrFenced) {
		t.Errorf("Enroll() = %v, want ErrFenced", err)
	}
	if err := first.SaveSnapshot(t.Context(), presence.Snapshot{Sweep: 7, Online: []byte{}, Known: []byte{}}); !errors.Is(err, ErrFenced) {
		t.Errorf("SaveSnapshot() = %v, want ErrFenced", err)
	}
	alice := enroll(t, other, "alice")["alice"].User
	e := told(1, 0, alice, presence.Unknown, presence.Online, 0)
	changes := presence.Changes{Transitions: []presence.Transition{e.Transition}, States: []presence.State{{User: alice, Watched: true, Status: presence.Online, LastSeq: 1}}}
	if err := first.Commit(t.Context(), changes, 1); !errors.Is(err, ErrFenced) {
		t.Errorf("Commit() = %v, want ErrFenced", err)
	}
	held, free := first.While(t.Context())
	defer free()
	select {
	case <-held.Done():
	case <-time.After(until):
		t.Fatal("the first holder does not notice")
	}
	if err := first.Release(t.Context(), time.Time{}); err != nil {
		t.Fatal(err)
	}
	if owner := value[string](t, pool, `select coalesce(owner, 'nobody') from apps where app_id = $1`, app); owner != "other" {
		t.Errorf("the lease is held by %s, want other", owner)
	}
	if err := other.Release(t.Context(), time.Time{}); err != nil {
		t.Fatal(err)
	}
}
