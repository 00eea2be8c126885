package main

import (
	"fmt"
	"strings"

	"github.com/zim-presence/poller/internal/page"
)

// mishapsOfWatchlist are those of who is watched.
func mishapsOfWatchlist() []mishap {
	of := func(subject string) string { return fmt.Sprintf("%s/%d", subject, uint32(worldApp)) }
	return []mishap{
		{
			what:   "Ids on the watchlist cannot be asked about",
			happen: func(s *theatre) { s.watch("no\x01good", strings.Repeat("x", 65)) }, over: func(s *theatre) { s.unwatch("no\x01good", strings.Repeat("x", 65)) },
			page: "how many invalid ids there are", shows: func(b page.Board) bool {
				u := appOf(b, worldApp).Users
				return u != nil && u.Invalid == 2
			},
			metrics: []string{"poller_invalid_users"}, alerts: []string{"PollerWatchlistInvalid"},
		},
		{
			what: "Most of the watchlist is gone at once", short: true,
			happen: func(s *theatre) { s.unwatch(keys(s.users)...) }, over: func(s *theatre) { s.watch(keys(s.users)...) },
			check: of("watchlist"), says: "are gone from the watchlist at once", mend: "load the list again",
			page: "the check `watchlist`, until the next sweep finds the same", metrics: []string{"poller_held_users_total"}, alerts: []string{"PollerWatchlistDropped"},
		},
	}
}
