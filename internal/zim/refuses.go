package zim

import "github.com/zim-presence/poller/presence"

// Refuses tells whether ZIM has refused the id by itself, and not taken it since: it
// is asked about alone, and more and more rarely. It may be called from any
// goroutine.
func (c *Client) Refuses(id string) bool { return c.suspected(presence.User{ID: id}) }
