package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/zim-presence/poller/internal/page"
)

// mishapsOfWatchlist are those of who is watched.
func mishapsOfWatchlist() []mishap {
	of := func(subject string) string { return fmt.Sprintf("%s/%d", subject, uint32(worldApp)) }
	load := func(d *drill) {
		list := filepath.Join(d.bin, "users.txt")
		if err := os.WriteFile(list, []byte(strings.Join(keys(d.users), "\n")+"\n"), 0o600); err != nil {
			d.t.Fatal(err)
		}
		d.sh("poller watch import users.txt", "400")
	}
	bad := []string{"no\x01good", strings.Repeat("x", 65)}
	return []mishap{
		{
			what:   "Ids on the watchlist cannot be asked about",
			happen: func(s *theatre) { s.watch(bad...) }, over: func(s *theatre) { s.unwatch(bad...) },
			page: "how many invalid ids there are", shows: func(b page.Board) bool {
				u := appOf(b, worldApp).Users
				return u != nil && u.Invalid == 2
			},
			metrics: []string{"poller_invalid_users"}, alerts: []string{"PollerWatchlistInvalid"},
			look: func(d *drill) { d.sh("poller watch list --invalid", "xxxx", "64") },
			by: func(d *drill) {
				d.sh(`poller watch remove $'no\x01good'`, "removed 1 of 1")
				d.shell("poller watch remove --app 1234567890 "+bad[1], "removed 1 of 1")
			},
			doctor: "ZIM can never be asked about 2 more ids", until: []string{"poller_invalid_users == 0"},
		},
		{
			what: "Most of the watchlist is gone at once", short: true,
			happen: func(s *theatre) { s.unwatch(keys(s.users)...) }, over: func(s *theatre) { s.watch(keys(s.users)...) },
			check: of("watchlist"), says: "are gone from the watchlist at once", mend: "load the list again",
			page: "the check `watchlist`, until the next sweep finds the same", metrics: []string{"poller_held_users_total"}, alerts: []string{"PollerWatchlistDropped"},
			by:    load,
			until: []string{"poller_watched_users == 400"},
		},
		{
			what:   "The watchlist is emptied, and nobody sees it in time",
			happen: func(s *theatre) { s.unwatch(keys(s.users)...) }, over: func(*theatre) {}, by: load,
			page: "that nobody is watched", shows: func(b page.Board) bool {
				u := appOf(b, worldApp).Users
				return u != nil && u.Watched == 0
			},
			metrics: []string{"poller_watched_users", `kind="removed"`}, alerts: []string{"PollerWatchlistDropped"},
			doctor: "nobody is watched", until: []string{"poller_watched_users == 400"},
		},
	}
}
