package page

import (
	"slices"
	"strconv"
	"strings"
	"time"
)

// Board is what the page shows at one moment of this process and of each app of its
// configuration. It is the JSON of /api/board, which is for the page alone and may
// change with it. Times are UTC; a time that is not known is null, durations are
// seconds.
type Board struct {
	At       time.Time `json:"at"`
	Version  string    `json:"version"`
	Process  string    `json:"process"` // as leases name it: host:pid:run
	Started  time.Time `json:"started"`
	Replicas int       `json:"replicas"` // that live; 0 while this process cannot see it
	UserIDs  bool      `json:"user_ids"` // false: hidden, as configured
	Ready    bool      `json:"ready"`
	// ConfigRefused tells that the configuration was read again and has faults: the one
	// before goes on.
	ConfigRefused bool `json:"config_refused"`
	// Checks are all of them, by name; where one app is asked for, its own and those of
	// the process; where there are over [FewApps], of apps the red ones.
	Checks []Check `json:"checks"`
	Judged int     `json:"judged"` // checks that there are
	Total  int     `json:"total"`  // apps that there are
	// Apps are by id. Where all are asked for they are [MostApps] at the most, and have
	// no more than their newest incident each where they are over [FewApps].
	Apps []App `json:"apps"`
}

// What bounds a board of all apps.
const (
	MostApps = 1000
	FewApps  = 20
)

// trim cuts a board to its bounds.
func (b *Board) trim(app uint32) {
	b.Judged = len(b.Checks)
	b.Apps = b.Apps[:min(len(b.Apps), MostApps)]
	own := strconv.FormatUint(uint64(app), 10)
	many := len(b.Apps) > FewApps
	b.Checks = slices.DeleteFunc(b.Checks, func(c Check) bool {
		_, of, some := strings.Cut(c.Name, "/")
		return some && (app != 0 && of != own || app == 0 && many && c.OK)
	})
	if app != 0 || !many {
		return
	}
	for i := range b.Apps {
		b.Apps[i].Incidents = b.Apps[i].Incidents[:min(1, len(b.Apps[i].Incidents))]
	}
}

// Check is one check of readiness.
type Check struct {
	Name  string    `json:"name"` // subject, or subject/app
	OK    bool      `json:"ok"`
	Error string    `json:"error"` // empty when ok
	Mend  string    `json:"mend"`  // what to do about it; may be empty
	Note  string    `json:"note"`  // no fault; most often empty
	Since time.Time `json:"since"` // of this colour
}

// App is one app. What only the holder of its lease knows is empty elsewhere: Lease
// says who that is.
type App struct {
	App      uint32     `json:"app"`
	Lease    Lease      `json:"lease"`
	Schedule string     `json:"schedule"`
	Next     *time.Time `json:"next"`    // sweep that is due
	Running  *Sweep     `json:"running"` // null between sweeps
	Last     *Sweep     `json:"last"`    // that ended; null before the first
	Users    *Users     `json:"users"`
	Ages     *Ages      `json:"ages"`
	Budget   Budget     `json:"budget"`
	Lag      Lag        `json:"lag"`
	// Delay is how long the newest events took from being known to being told.
	Delay *float64 `json:"delay"`
	// Trouble is what is held against ZIM; empty for nothing.
	Trouble string `json:"trouble"`
	// Clock is how many seconds this machine's clock is ahead of ZIM's, below 0 for
	// behind; 0 where that is not known.
	Clock     float64    `json:"clock"`
	Incidents []Incident `json:"incidents"` // newest first, ten at the most
}

// Lease is who polls an app.
type Lease struct {
	Held   bool       `json:"held"`   // by this process
	Holder string     `json:"holder"` // as leases name it; empty: nobody, or not known
	Epoch  int64      `json:"epoch"`  // 0: not known
	Since  *time.Time `json:"since"`  // when this process took it
}

// Sweep is one sweep, running or ended.
type Sweep struct {
	Number      int64      `json:"number"`
	Started     time.Time  `json:"started"`
	Finished    *time.Time `json:"finished"` // null while it runs
	Watched     int        `json:"watched"`
	Seen        int        `json:"seen"`
	Missed      int        `json:"missed"`
	Transitions int        `json:"transitions"`
	Requests    int        `json:"requests"`
	Complete    bool       `json:"complete"`
	Failure     string     `json:"failure"` // why it ended early, or why users are missed
	Skipped     int        `json:"skipped"` // due times that went by while it ran
	// Left is how many seconds the one that runs is likely to last yet; null where
	// nothing can be said.
	Left *float64 `json:"left"`
}

// Users are how many there are, by what is told of them.
type Users struct {
	Watched int `json:"watched"`
	Online  int `json:"online"`
	Offline int `json:"offline"`
	Unknown int `json:"unknown"`
	Invalid int `json:"invalid"` // on the list, and never asked about
	Held    int `json:"held"`    // changes that wait to be confirmed
	Gated   int `json:"gated"`   // said to be offline, and not believed yet
	// Coverage is the share of the watched who were answered by the newest sweep, 0
	// to 1; null before the first.
	Coverage *float64 `json:"coverage"`
}

// Ages are how old the newest answers are.
type Ages struct {
	At     time.Time `json:"at"`
	Under  []float64 `json:"under"` // bounds in seconds, rising; the last bucket has none
	Users  []int     `json:"users"` // one more than bounds
	Never  int       `json:"never"` // answered
	Median float64   `json:"median"`
	P99    float64   `json:"p99"`
	Oldest float64   `json:"oldest"`
}

// Budget is how the requests go.
type Budget struct {
	Setting float64 `json:"setting"` // requests a second, as configured: as far as it counts
	Rate    float64 `json:"rate"`    // that are allowed at the moment
	Used    float64 `json:"used"`    // share of the setting in the last minute, 0 to 1
	Breaker bool    `json:"breaker"` // ZIM does not answer, and requests are held up
}

// Lag is what the ledger has and the stream has not.
type Lag struct {
	Events  int64   `json:"events"`
	Seconds float64 `json:"seconds"` // since the oldest of them was observed
}

// Incident is a time at which so many had gone at once that it was asked again.
type Incident struct {
	Number  int        `json:"number"`
	Began   time.Time  `json:"began"`
	Ended   *time.Time `json:"ended"`   // null: not decided
	Outcome string     `json:"outcome"` // released, discarded, or empty
	Flips   int        `json:"flips"`
	Share   float64    `json:"share"`
}

// History is the last hours of one app, the JSON of /api/history: columns of one
// length, oldest first, without a gap between two times. What was not known at a time
// is null. With ?since=, Unix seconds, only what is later.
type History struct {
	Step     float64 `json:"step"`  // seconds between two points
	Times    []int64 `json:"times"` // Unix seconds, multiples of the step; each point is of the step that ends then
	Online   Column  `json:"online"`
	Offline  Column  `json:"offline"`
	Unknown  Column  `json:"unknown"`
	PerMin   Column  `json:"transitions"` // online and offline events a minute
	Delay    Column  `json:"delay"`       // seconds, the slowest of the step
	Budget   Column  `json:"budget"`      // share of the setting that was used
	Coverage Column  `json:"coverage"`
	Lag      Column  `json:"lag"` // events
}

// Told is one event of the live list.
type Told struct {
	App    uint32    `json:"app"`
	Seq    int64     `json:"seq"`
	User   string    `json:"user"` // or a pseudonym
	Kind   string    `json:"kind"`
	From   string    `json:"from"`
	To     string    `json:"to"`
	Detail string    `json:"detail"`
	After  string    `json:"after"` // RFC 3339; empty for none
	At     time.Time `json:"at"`    // observed
	Delay  float64   `json:"delay"` // seconds from being known to being told
}

// Batch is the data of one server-sent event named "told": what was told since the
// one before, in order, at most 100 of it, and at most four times a second.
type Batch struct {
	Events []Told `json:"events"`
	// Passed is how many more there were that are not shown.
	Passed int `json:"passed"`
	// Before is true in the first batch of a connection, which always comes, perhaps
	// empty: the newest events that were told before, at most 200. They take the place
	// of whatever was shown.
	Before bool `json:"before"`
}
