package follow_test

import (
	"testing"

	"github.com/zim-presence/poller/presence"
	"github.com/zim-presence/poller/presence/follow"
)

// Who is removed while the state is read, behind what was told of the user, is not
// left as it was told.
func TestRemovedWhileTheStateIsRead(t *testing.T) {
	r := newRig(t)
	r.told(r.change("gone before", presence.Online), r.change("alice", presence.Online), r.change("bob", presence.Online),
		r.change("gone before", presence.Unknown))
	r.settled()
	removed := false
	p := start(t, r.connect(), follow.Config{App: app}, func(i follow.Item) error {
		if i.What == follow.State && i.Event.User.ID == "alice" && !removed {
			removed = true
			r.told(r.change("alice", presence.Unknown))
			r.settled()
		}
		return nil
	})
	p.reaches(r)
	for _, i := range p.heard(follow.State) {
		if i.Event.User.ID == "gone before" {
			t.Errorf("%s is told, who was removed before", i)
		}
	}
}

// The same, when the connection breaks just then and the reading goes on where it
// was: what it begins with is then newer than the removal.
func TestRemovedWhileTheReadingIsCut(t *testing.T) {
	r := newRig(t)
	r.told(r.change("alice", presence.Online), r.change("bob", presence.Online))
	r.settled()
	removed := false
	p := start(t, r.connect(), follow.Config{App: app}, func(i follow.Item) error {
		if i.What == follow.State && i.Event.User.ID == "alice" && !removed {
			removed = true
			r.told(r.change("alice", presence.Unknown))
			r.settled()
			r.server.Restart()
		}
		return nil
	})
	p.reaches(r)
	if got := p.follower.Stats(); got.Resets != 1 || got.Outages == 0 {
		t.Errorf("%+v, want an outage and no reset", got)
	}
}
