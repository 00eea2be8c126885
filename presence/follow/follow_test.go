package follow_test

import (
	"context"
	"errors"
	"testing"

	"github.com/zim-presence/poller/presence"
	"github.com/zim-presence/poller/presence/follow"
)

func TestStateThenLive(t *testing.T) {
	r := newRig(t)
	r.told(r.some(500, 40)...)
	r.settled()
	p := r.program(follow.Config{})
	p.upTo(500)
	if states, events := len(p.heard(follow.State)), len(p.heard(follow.Event)); states != len(r.truth()) || events != 0 {
		t.Errorf("%d states and %d events, want %d states alone", states, events, len(r.truth()))
	}
	p.reaches(r)
	r.told(r.some(300, 60)...)
	p.reaches(r)
	if err := p.stop(); !errors.Is(err, context.Canceled) {
		t.Errorf("Run ended with %v", err)
	}
	if got := p.follower.Stats(); got.Seq != 800 || got.Events != 300 || got.Resets != 1 || got.Known+got.Foreign+got.Outages != 0 {
		t.Errorf("%+v", got)
	}
}

// Runs of the same follower go on where the last one ended.
func TestRunAgain(t *testing.T) {
	r := newRig(t)
	r.told(r.some(50, 10)...)
	r.settled()
	p := r.program(follow.Config{})
	p.upTo(50)
	_ = p.stop()
	r.told(r.some(50, 10)...)
	p.run()
	p.reaches(r)
	if n := len(p.heard(follow.Reset)); n != 1 {
		t.Errorf("%d resets, want 1", n)
	}
}

func TestNothingYet(t *testing.T) {
	r := newRig(t)
	p := r.program(follow.Config{})
	eventually(t, "an empty app is current", func() bool { return len(p.heard(follow.Current)) == 1 })
	r.told(r.change("alice", presence.Online))
	p.reaches(r)
}
