package ledger

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zim-presence/poller/presence"
)

// A lease that is given back before its own wait is over leaves the rest of the
// wait to the next: the requests of the holder before are still in the window.
func TestWaitOutlivesALeaseThatIsGivenBack(t *testing.T) {
	l, pool := open(t)
	const window = time.Minute
	first, err := l.TryAcquire(t.Context(), Terms{Owner: "first", TTL: terms.TTL, Window: window})
	if err != nil {
		t.Fatal(err)
	}
	execute(t, pool, `update apps set expires_at = clock_timestamp(), session_pid = null where app_id = $1`, app)
	second, err := l.TryAcquire(t.Context(), Terms{Owner: "second", TTL: terms.TTL, Window: window})
	if err != nil {
		t.Fatal(err)
	}
	if err := first.Release(t.Context(), time.Time{}); err != nil { // it is fenced, and changes nothing
		t.Fatal(err)
	}
	if err := second.Release(t.Context(), time.Time{}); err != nil {
		t.Fatal(err)
	}
	third, err := l.TryAcquire(t.Context(), Terms{Owner: "third", TTL: terms.TTL, Window: window})
	if err != nil {
		t.Fatal(err)
	}
	if third.NotBefore().Before(second.NotBefore().Add(-window / 2)) {
		t.Errorf("the third holder may send at %s, the second had to wait until %s", third.NotBefore(), second.NotBefore())
	}
	if err := third.Release(t.Context(), time.Time{}); err != nil {
		t.Fatal(err)
	}
}

// A clock that was set back, as by a failover, does not stop polling for the
// difference.
func TestWaitIsBounded(t *testing.T) {
	l, pool := open(t)
	if err := win(t, l).Release(t.Context(), time.Time{}); err != nil {
		t.Fatal(err)
	}
	execute(t, pool, `update apps set budget_free_at = clock_timestamp() + interval '1 day' where app_id = $1`, app)
	before := time.Now()
	lease := win(t, l)
	if wait := lease.NotBefore().Sub(before); wait < longestWait || wait > longestWait+terms.Window+time.Minute {
		t.Errorf("waits %s, want %s and a window", wait, longestWait)
	}
	if left := value[bool](t, pool, `select budget_free_at < clock_timestamp() + interval '1 hour' from apps where app_id = $1`, app); !left {
		t.Error("the row keeps what cannot be")
	}
}

// A state without a row fails the whole commit: an error that had written
// something would leave events that no state knows of.
func TestCommitOfAStateWithoutARowWritesNothing(t *testing.T) {
	l, pool := open(t)
	lease := win(t, l)
	alice := enroll(t, lease, "alice")["alice"].User
	execute(t, pool, `delete from user_states where app_id = $1`, app)
	e := told(1, 0, alice, presence.Unknown, presence.Online, 0)
	err := lease.Commit(t.Context(), presence.Changes{
		Transitions: []presence.Transition{e.Transition}, States: []presence.State{{User: alice, Watched: true, Status: presence.Online, LastSeq: 1}},
	}, 1)
	if err == nil || errors.Is(err, ErrFenced) {
		t.Errorf("Commit() = %v, want an error of its own", err)
	}
	if got := value[int64](t, pool, `select last_seq + (select count(*) from transitions) from apps where app_id = $1`, app); got != 0 {
		t.Error("something was written")
	}
}

// A standby that was behind, and is promoted under a living holder, has forgotten
// commits but not the lease: the holder's numbers do not fit it, and nothing is
// written.
func TestNothingIsWrittenIntoADatabaseThatForgot(t *testing.T) {
	l, pool := open(t)
	lease := win(t, l)
	alice := enroll(t, lease, "alice")["alice"].User
	record(t, lease, told(1, 0, alice, presence.Unknown, presence.Online, 0))
	execute(t, pool, `update apps set last_seq = 0 where app_id = $1`, app)
	err := lease.SaveSnapshot(t.Context(), presence.Snapshot{Sweep: 1, Seq: 1, Online: []byte{}, Known: []byte{}})
	if !errors.Is(err, ErrFenced) {
		t.Errorf("SaveSnapshot() = %v, want ErrFenced", err)
	}
	execute(t, pool, `delete from user_states where app_id = $1`, app)
	execute(t, pool, `update apps set last_user_no = 0 where app_id = $1`, app)
	if states, err := lease.Enroll(t.Context(), []string{"bob"}); !errors.Is(err, ErrFenced) {
		t.Errorf("Enroll() = %v, %v; want ErrFenced: the number of alice would be given again", states, err)
	}
}

// What runs under a lease ends when the lease has run out by our own clocks,
// however long a ping hangs.
func TestWhileEndsWithTheLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lease := &Lease{terms: terms, now: readClocks, lost: make(chan struct{}), heard: make(chan struct{})}
		start := time.Now()
		lease.extend(lease.now(), false)
		held, free := lease.While(t.Context())
		defer free()
		time.Sleep(terms.TTL / 2)
		lease.extend(lease.now(), false) // renewed
		<-held.Done()
		if lasted, want := time.Since(start), terms.TTL/2+terms.TTL-margin(terms.TTL); lasted != want {
			t.Errorf("lasted %s, want %s", lasted, want)
		}
	})
}
