package zim

import (
	"iter"

	"github.com/zim-presence/poller/presence"
)

// batches cuts users into what one request may hold: size ids, and maxQuery
// bytes as they are written. Whoever keep refuses goes into none.
func batches(users iter.Seq[presence.User], size int, keep func(presence.User) bool) iter.Seq[[]presence.User] {
	return func(yield func([]presence.User) bool) {
		var batch []presence.User
		length := 0
		for u := range users {
			if !keep(u) {
				continue
			}
			n := queryLen(u.ID)
			if len(batch) == size || len(batch) > 0 && length+n > maxQuery {
				if !yield(batch) {
					return
				}
				batch, length = nil, 0
			}
			if batch == nil {
				batch = make([]presence.User, 0, size)
			}
			batch = append(batch, u)
			length += n
		}
		if len(batch) > 0 {
			yield(batch)
		}
	}
}
