package chaos

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/zim-presence/poller/internal/zimsim"
	"github.com/zim-presence/poller/presence"
)

const (
	dayUsers = 2500 // a fifth of them is not watched in the morning
	dayRate  = 150  // requests a second: a sweep is to be over well within its second
	// pastAgain says how to repeat a run.
	pastAgain = "make past PAST_FOR=%s SEED=%d"
)

// TestDay records a day of users who come and go, with faults of ZIM, a kill -9
// and a restart in it, and asks for it afterwards: who was online at a thousand
// random times, the same again for an empty consumer, and whether all that is kept
// agrees.
func TestDay(t *testing.T) {
	seed := drawSeed(*pastSeed)
	again := fmt.Sprintf(pastAgain, *pastFor, seed)
	fmt.Printf("a day in %s, seed %d: %s\n", *pastFor, seed, again)
	d := &day{world: &world{rate: dayRate, lax: true}, random: rand.New(rand.NewPCG(seed, 3))}
	d.open(t)
	d.apps = 1
	defer d.complainOf(again)
	d.wake()
	d.daemons = append(d.daemons, d.newDaemon(0))
	subscribers, stop := d.subscribe()
	defer stop()
	d.daemons[0].start()
	d.record(*pastFor)
	if !d.swept() || !d.told(subscribers) {
		return
	}
	d.daemons[0].stop(syscall.SIGTERM)
	stop()
	for _, f := range subscribers[0].findings {
		t.Error(f)
	}
	d.remember()
	t.Run("events", d.happened)
	t.Run("state", d.states)
	t.Run("state command", d.stateCommand)
	t.Run("replay", func(t *testing.T) { d.replays(t, subscribers[0].state) })
	t.Run("verify", d.verify)
}

// day is a world with one app whose users live by themselves.
type day struct {
	*world
	random     *rand.Rand
	edits      map[string][]turn // of the watchlist, by user
	first, end time.Time         // of the record
	lives      *lives
	events     []presence.Event
}

// wake brings the users to life, and puts most on the watchlist.
func (d *day) wake() {
	// A session and the time between two are some sweeps long, so that most of them
	// are seen and some are not.
	speed := (24 * time.Hour).Seconds() / pastFor.Seconds()
	d.must(d.zim.call(http.MethodPost, d.zim.Control+"/apps", zimsim.AppConfig{ID: 1, Secret: secret, Rate: -1, Living: &zimsim.Living{
		Users: dayUsers, Speed: speed, Session: 3 * time.Hour, Away: 3 * time.Hour, Night: 0.5,
	}}, nil))
	d.edits = map[string][]turn{}
	d.edit(dayUsers*4/5, 0)
}

// edit puts so many random users on the watchlist, takes so many from it, and
// notes between which two moments that was done.
func (d *day) edit(add, remove int) {
	var added, removed []string
	for _, n := range d.random.Perm(dayUsers) {
		user := zimsim.UserName(n + 1)
		edits := d.edits[user]
		switch on := len(edits) > 0 && edits[len(edits)-1].value == isWatched; {
		case !on && len(added) < add:
			added = append(added, user)
		case on && len(removed) < remove:
			removed = append(removed, user)
		}
	}
	for value, users := range map[presence.Status][]string{isWatched: added, isNot: removed} {
		statement := `delete from watched_users where app_id = 1 and user_id = any($1)`
		if value == isWatched {
			statement = `insert into watched_users (app_id, user_id) select 1, unnest($1::text[])`
		}
		from := time.Now()
		_, err := d.pool.Exec(d.t.Context(), statement, users)
		d.must(err)
		for _, user := range users {
			d.edits[user] = append(d.edits[user], turn{from: from, to: time.Now(), value: value})
		}
	}
}

// record lets the day pass: the list is edited all the time, ZIM has its faults,
// and the daemon dies and is restarted.
func (d *day) record(length time.Duration) {
	d.first = time.Now()
	ctx, cancel := context.WithTimeout(d.t.Context(), length)
	defer cancel()
	at := func(share float64, do func()) {
		if pause(ctx, time.Until(d.first.Add(time.Duration(share*float64(length))))) {
			do()
		}
	}
	broken := func(text string) func() { return func() { d.must(d.zim.addFaults(text, 1)) } }
	mended := func() {
		for _, kind := range []string{"http", "partial", "code", "slow_answer", "unknown_status"} {
			d.must(d.zim.clearFaults(kind))
		}
	}
	over := make(chan struct{})
	go func() {
		defer close(over)
		at(0.10, broken("http:503@0.7"))
		at(0.18, mended)
		at(0.25, broken("partial:0.3@0.5"))
		at(0.35, mended)
		at(0.40, func() { d.daemons[0].signal(syscall.SIGKILL) }) // its supervisor starts it again
		at(0.50, broken("code:1@0.8"))
		at(0.55, mended)
		at(0.60, broken("slow_answer:300ms"))
		at(0.65, mended)
		at(0.70, func() { d.daemons[0].stop(syscall.SIGTERM); d.daemons[0].start() })
		at(0.75, broken("unknown_status:0.2@0.3"))
		at(0.90, mended)
	}()
	for pause(ctx, 700*time.Millisecond) {
		d.edit(15, 15)
	}
	<-over
	mended()
	d.end = time.Now()
}

// moments draws times of the day; the first of them may be before anything was recorded.
func (d *day) moments(n int) (all []time.Time) {
	for range n {
		all = append(all, d.first.Add(time.Duration(d.random.Int64N(int64(d.end.Sub(d.first))))).Truncate(time.Microsecond))
	}
	return all
}

// poller runs one command to its end, in the daemon's environment.
func (d *day) poller(args ...string) (out string, code int) {
	cmd := exec.CommandContext(d.t.Context(), d.program, args...)
	cmd.Env = append([]string{"GORACE=atexit_sleep_ms=0"}, d.daemons[0].env...)
	var said, complaint strings.Builder
	cmd.Stdout, cmd.Stderr = &said, &complaint
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		d.t.Fatal(err)
	}
	if code = cmd.ProcessState.ExitCode(); code != 0 {
		d.t.Logf("poller %s: code %d\n%s", strings.Join(args, " "), code, complaint.String())
	}
	return said.String(), code
}
