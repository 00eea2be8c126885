package chaos

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// fault is one thing that the plan does.
type fault struct {
	At   time.Duration // since the plan began
	Kind string        // a row of kinds
	On   int           // the daemon or app, where the kind has one
	For  time.Duration // until it is undone
	How  string        // what else was drawn
}

func (f fault) String() string {
	return fmt.Sprintf("%s on %d for %s %s", f.Kind, f.On, f.For.Round(time.Millisecond), f.How)
}

// kind is a row of what can go wrong.
type kind struct {
	name   string
	weight int // how often it is drawn
	on     int // how many there are to choose from
	// It lasts from least to longest; both are zero for what is over at once.
	least, longest time.Duration
	hows           []string
	// holds names what the fault needs for itself, in order, so that the end of one
	// fault does not undo another.
	holds holder
	// takes tells that the daemon's leases go to others, if it lasts.
	takes bool
	// quiet tells that no takeover is held up by it.
	quiet bool
}

type holder = func(fault) []string

func ofDaemon(f fault) []string { return []string{fmt.Sprint("daemon ", f.On)} }
func ofLink(to string) holder {
	return func(f fault) []string { return []string{fmt.Sprint("link ", f.On, " to ", to)} }
}
func ofPostgres(fault) []string { return []string{"postgres"} }
func ofNATS(fault) []string     { return []string{"nats"} }
func ofRow(f fault) []string    { return []string{fmt.Sprint("row ", f.On)} }
func ofZIM(f fault) []string    { return []string{"zim " + zimKind(f.How)} }

// ofLastWords needs the daemon and the link on which its last words are held.
func ofLastWords(f fault) []string {
	if f.How == "events" {
		return append(ofDaemon(f), ofLink("NATS")(f)...)
	}
	return append(ofDaemon(f), ofLink("Postgres")(f)...)
}

// zimKind is the kind of a fault of ZIM: "hang" of "hang@0.2".
func zimKind(how string) string {
	kind, _, _ := strings.Cut(how, "@")
	kind, _, _ = strings.Cut(kind, ":")
	return kind
}

// directions are what a stall holds back.
func directions() []string { return []string{"both ways", "what is sent", "what is answered"} }

// zimFaults are what the simulated ZIM does to some of the requests of an app.
func zimFaults() []string {
	return []string{
		"http:503@0.5", "http:429@0.3", "http:500", "hang@0.2", "hang", "cut_headers@0.3", "cut_body@0.3", "html@0.3", "truncated@0.3",
		"code:1@0.3", "code:7@0.2", "code:660300005@0.3", "partial:0.3@0.5", "partial:0.9", "empty@0.5", "unknown_status:0.3@0.5",
		"contradictory:0.3@0.5", "both_lists:0.3@0.5", "invented:0.3@0.5", "slow:500ms@0.5", "kill_keepalive@0.3",
	}
}

// reloads are what another configuration says.
func reloads() []string {
	return []string{"half the rate", "another schedule", "without app 1", "without app 2", "without app 3"}
}

// lastWords is the fault that holds back what a daemon says before it dies.
const lastWords = "daemon: kill -9, and its last words come late"

// kinds is everything that can go wrong.
func kinds() []kind {
	long := 2 * ttl
	return []kind{
		{name: "daemon: kill -9", weight: 8, on: daemons, longest: ttl, holds: ofDaemon, takes: true},
		{name: "daemon: SIGTERM", weight: 5, on: daemons, longest: ttl, holds: ofDaemon, takes: true},
		{name: "daemon: SIGSTOP", weight: 12, on: daemons, longest: 5 * ttl / 2, holds: ofDaemon, takes: true},
		{name: "daemon: SIGHUP", weight: 5, on: daemons, longest: long, hows: reloads(), holds: ofDaemon},
		{name: lastWords, weight: 10, on: daemons, least: 4 * ttl / 3, longest: 5 * ttl / 2, hows: []string{"a commit", "events"},
			holds: ofLastWords, takes: true},
		{name: "link to Postgres: cut", weight: 4, on: daemons, holds: ofLink("Postgres"), takes: true},
		{name: "link to Postgres: refused", weight: 4, on: daemons, longest: long, holds: ofLink("Postgres"), takes: true},
		{name: "link to Postgres: stalled", weight: 5, on: daemons, longest: long, hows: directions(), holds: ofLink("Postgres"), takes: true},
		{name: "link to NATS: cut", weight: 3, on: daemons, holds: ofLink("NATS"), quiet: true},
		{name: "link to NATS: refused", weight: 3, on: daemons, longest: long, holds: ofLink("NATS"), quiet: true},
		{name: "link to NATS: stalled", weight: 4, on: daemons, longest: long, hows: directions(), holds: ofLink("NATS"), quiet: true},
		{name: "link to ZIM: cut", weight: 2, on: daemons, holds: ofLink("ZIM")},
		{name: "link to ZIM: refused", weight: 2, on: daemons, longest: long, holds: ofLink("ZIM")},
		{name: "link to ZIM: stalled", weight: 3, on: daemons, longest: long, hows: directions(), holds: ofLink("ZIM")},
		{name: "Postgres: kill -9", weight: 2, longest: ttl, holds: ofPostgres},
		{name: "Postgres: restart", weight: 2, longest: ttl / 2, holds: ofPostgres},
		{name: "Postgres: read-only", weight: 2, longest: long, holds: ofPostgres},
		{name: "Postgres: sessions terminated", weight: 4, hows: []string{"all", "half"}, holds: ofPostgres},
		{name: "Postgres: an app's row locked", weight: 3, on: apps, longest: long, holds: ofRow},
		{name: "NATS: kill -9", weight: 4, longest: ttl, holds: ofNATS, quiet: true},
		{name: "NATS: SIGSTOP", weight: 3, longest: long, holds: ofNATS, quiet: true},
		{name: "NATS: restart", weight: 2, longest: ttl, holds: ofNATS, quiet: true},
		{name: "ZIM: bad answers", weight: 8, on: apps, longest: long, hows: zimFaults(), holds: ofZIM, quiet: true},
	}
}

// kindOf returns the row of a fault.
func kindOf(name string) kind {
	all := kinds()
	return all[slices.IndexFunc(all, func(k kind) bool { return k.name == name })]
}

// The plan goes in rounds: a storm, in which a fault need not be over when the next
// begins, then quiet but for two faults that take leases away and last as long as
// they may, one after the other: what a takeover takes can be told from those. The
// first of them is about last words, which others must have gone on without for
// them to do harm: so it is what a program without fences does not survive.
const (
	gap   = 1400 * time.Millisecond // the longest between two faults of a storm
	storm = 36 * time.Second
	alone = 15 * time.Second // from fault to fault behind it
	round = storm + 5*ttl/2 + 2*alone
)

// draw returns the plan of a seed: the same for the same seed, a longer one
// beginning with all of a shorter one.
func draw(seed uint64, length time.Duration) (plan []fault) {
	random := rand.New(rand.NewPCG(seed, 1))
	for begun := time.Duration(0); begun < length; begun += round {
		for at := begun + wait(random); at < begun+storm; at += wait(random) {
			plan = append(plan, drawFault(random, at, func(kind) bool { return true }))
		}
		for n, at := range []time.Duration{begun + round - 2*alone, begun + round - alone} {
			f := drawFault(random, at, func(k kind) bool { return k.takes && (k.name == lastWords) == (n == 0) })
			f.For = kindOf(f.Kind).longest
			plan = append(plan, f)
		}
	}
	for len(plan) > 0 && plan[len(plan)-1].At >= length {
		plan = plan[:len(plan)-1]
	}
	return plan
}

func wait(random *rand.Rand) time.Duration { return time.Duration(random.Int64N(int64(gap))) }

func drawFault(random *rand.Rand, at time.Duration, from func(kind) bool) fault {
	var urn []kind
	for _, k := range kinds() {
		for range k.weight {
			if from(k) {
				urn = append(urn, k)
			}
		}
	}
	k := urn[random.IntN(len(urn))]
	f := fault{At: at, Kind: k.name}
	if k.on > 0 {
		f.On = random.IntN(k.on)
	}
	if k.longest > 0 {
		f.For = k.least + time.Duration(random.Int64N(int64(k.longest-k.least)))
	}
	if len(k.hows) > 0 {
		f.How = k.hows[random.IntN(len(k.hows))]
	}
	return f
}

// The same seed draws the same plan, and a long one has everything in it.
func TestPlan(t *testing.T) {
	const length = 30 * time.Minute
	plan := draw(42, length)
	if diff := cmp.Diff(plan, draw(42, length)); diff != "" {
		t.Errorf("the same seed draws another plan: %s", diff)
	}
	if cmp.Equal(plan, draw(43, length)) {
		t.Error("another seed draws the same plan")
	}
	drawn := map[string]int{}
	for _, f := range plan {
		drawn[f.Kind]++
		if k := kindOf(f.Kind); f.On < 0 || f.On >= max(1, k.on) || f.For < k.least || f.For > k.longest {
			t.Errorf("%s is not possible", f)
		}
	}
	for _, k := range kinds() {
		if drawn[k.name] == 0 {
			t.Errorf("%q is never drawn", k.name)
		}
	}
}
