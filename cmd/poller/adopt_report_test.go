package main

import "testing"

func TestAdoptReportText(t *testing.T) {
	for name, c := range map[string]struct {
		report adoptReport
		want   string
	}{
		"nothing": {adoptReport{AppID: 7}, "app 7: nothing to adopt, the ledger agrees with what was told\n"},
		"to be done": {
			adoptReport{AppID: 7, DryRun: true, Why: "the stream ends elsewhere", Fork: 60, Last: 100, Dropped: 3, Imported: 38, Missing: []gap{{70, 71}}, Known: 300, Unlisted: 300},
			`app 7: the stream ends elsewhere
the ledger agrees with what was told up to event 60 of 100
rows of the ledger that were never told, to be dropped: 3
events that the ledger did not have, to be imported: 38
events that are nowhere any more: 70 to 71
300 of 300 users are not on the watchlist: the sweeps will tell them as removed. Fill watched_users first.
`,
		},
		"done": {
			adoptReport{AppID: 7, Adopted: true, Why: "the stream ends elsewhere", Fork: 60, Last: 100, Dropped: 3, Imported: 40,
				States: 20, NewUsers: 2, Snapshots: 1, Watched: 50, Log: "0123abcd", Known: 49, Unlisted: 2},
			`app 7: the stream ends elsewhere
the ledger agrees with what was told up to event 60 of 100
rows of the ledger that were never told, dropped: 3
events that the ledger did not have, imported: 40
2 of 49 users are not on the watchlist: the sweeps will tell them as removed.
users whose state is another now: 20, not known before: 2; snapshots dropped: 1
events go on with 101, in the log 0123abcd; the next sweep tells which of 50 users have changed, or left the watchlist
`,
		},
	} {
		if got := c.report.text(); got != c.want {
			t.Errorf("%s:\n%s\nwant:\n%s", name, got, c.want)
		}
	}
}
