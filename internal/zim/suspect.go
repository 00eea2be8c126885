package zim

import (
	"iter"

	"github.com/zim-presence/poller/presence"
)

// suspect is an id that ZIM has refused by itself. It is kept out of the
// batches, asked about alone, and less and less often, so that it costs neither
// its neighbours nor the budget.
type suspect struct {
	wait, skip int // calls of Ask until it is asked again; and after that
}

const rarestAsk = 64

// suspected tells whether the id is one.
func (c *Client) suspected(u presence.User) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, yes := c.suspects[u.ID]
	return yes
}

// suspectsNow returns who is one.
func (c *Client) suspectsNow() map[string]bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	ids := make(map[string]bool, len(c.suspects))
	for id := range c.suspects {
		ids[id] = true
	}
	return ids
}

// due tells whether the suspect is to be asked this time; also who has just ceased to
// be one, by a confirmation beside.
func (c *Client) due(id string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	s, still := c.suspects[id]
	if !still {
		return true
	}
	s.wait--
	return s.wait < 0
}

// refuse notes that ZIM has refused the id by itself, and tells whether that is
// news.
func (c *Client) refuse(id string) (news bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s, known := c.suspects[id]
	if !known {
		s = &suspect{}
		c.suspects[id] = s
	}
	s.skip = min(rarestAsk, 2*s.skip+1)
	s.wait = s.skip
	return !known
}

func (c *Client) acquit(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.suspects, id)
}

// trials yields a batch of one for each of the users apart that is due, and
// hands the others of them to skipped.
func (c *Client) trials(users iter.Seq[presence.User], apart map[string]bool, skipped func(presence.User)) iter.Seq[[]presence.User] {
	return func(yield func([]presence.User) bool) {
		for u := range users {
			if !apart[u.ID] {
				continue
			}
			if !c.due(u.ID) {
				skipped(u)
			} else if !yield([]presence.User{u}) {
				return
			}
		}
	}
}
