package ledger

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func TestAReplayIsInOneHand(t *testing.T) {
	l, pool := open(t)
	recorded(t, pool, 1, 9, monday)
	asked := Replay{Name: "audit", Asked: []byte(`{"from": "2h"}`), First: 3, Last: 9, ToldSeq: 2}
	for _, want := range []bool{true, false} {
		if started, err := l.StartReplay(t.Context(), asked); started != want || err != nil {
			t.Fatalf("StartReplay = %t, %v; want %t", started, err, want)
		}
	}
	row := func() Replay {
		t.Helper()
		r, found, err := l.Replay(t.Context(), "audit")
		if err != nil || !found {
			t.Fatalf("found %t, %v", found, err)
		}
		return r
	}
	times := cmpopts.IgnoreFields(Replay{}, "Started", "Moved", "Ended")
	if diff := cmp.Diff(asked, row(), times); diff != "" {
		t.Errorf("row (-want +got):\n%s", diff)
	}
	first, err := l.HoldReplay(t.Context(), "audit", "", "one")
	if err != nil {
		t.Fatal(err)
	}
	if err := first.Move(t.Context(), 5, 3); err != nil {
		t.Fatal(err)
	}
	if _, err := l.HoldReplay(t.Context(), "audit", "", "late"); !errors.Is(err, ErrReplayTaken) {
		t.Errorf("taken from nobody: %v, want %v", err, ErrReplayTaken)
	}
	second, err := l.HoldReplay(t.Context(), "audit", "one", "two")
	if err != nil {
		t.Fatal(err)
	}
	for name, err := range map[string]error{
		"move": first.Move(t.Context(), 9, 9), "end": first.End(t.Context(), 9, 9), "leave": first.Leave(t.Context()),
	} {
		if !errors.Is(err, ErrReplayTaken) {
			t.Errorf("%s by the one before: %v, want %v", name, err, ErrReplayTaken)
		}
	}
	want := asked
	want.ToldSeq, want.Told, want.Holder = 5, 3, "two"
	if diff := cmp.Diff(want, row(), times); diff != "" {
		t.Errorf("row (-want +got):\n%s", diff)
	}
	if err := second.End(t.Context(), 9, 7); err != nil {
		t.Fatal(err)
	}
	want.ToldSeq, want.Told, want.Holder = 9, 7, ""
	if got := row(); cmp.Diff(want, got, times) != "" || got.Ended.IsZero() || time.Since(got.Ended) > time.Hour {
		t.Errorf("row %+v, want %+v, ended", got, want)
	}
	if _, err := l.HoldReplay(t.Context(), "audit", "", "three"); !errors.Is(err, ErrReplayTaken) {
		t.Errorf("one that has ended is taken: %v", err)
	}
	if all, err := l.Replays(t.Context()); err != nil || len(all) != 1 {
		t.Errorf("replays %v, %v; want one", all, err)
	}
	for _, want := range []bool{true, false} {
		if found, err := l.DropReplay(t.Context(), "audit"); found != want || err != nil {
			t.Errorf("DropReplay = %t, %v; want %t", found, err, want)
		}
	}
}

func TestErasedSinceAReplayWasStarted(t *testing.T) {
	l, pool := open(t)
	recorded(t, pool, 1, 9, monday)
	execute(t, pool, `insert into erasures (app_id, user_no, events) values ($1, 4, 2), (7, 5, 2)`, app)
	if _, err := l.StartReplay(t.Context(), Replay{Name: "r", Asked: []byte(`{}`), First: 1, Last: 9}); err != nil {
		t.Fatal(err)
	}
	h, err := l.HoldReplay(t.Context(), "r", "", "one")
	if err != nil {
		t.Fatal(err)
	}
	execute(t, pool, `insert into erasures (app_id, user_no, events) values (7, 6, 2)`) // of another app
	for _, want := range []bool{false, true} {
		if erased, err := h.Erased(t.Context()); erased != want || err != nil {
			t.Errorf("Erased = %t, %v; want %t", erased, err, want)
		}
		execute(t, pool, `insert into erasures (app_id, user_no, events) values ($1, 7, 2) on conflict do nothing`, app)
	}
}
