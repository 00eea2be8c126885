package poll

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"flag"
	"fmt"
	"hash"
	"iter"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"github.com/zim-presence/poller/internal/diff"
	"github.com/zim-presence/poller/presence"
)

var update = flag.Bool("update", false, "write the golden file of what is told by default; only right in a version before holds existed")

// TestToldAsBeforeHolds holds the events of a long and bad day against those of the
// version before there were holds, stale users, incidents, a confirming lane and a
// clock of our own: where none of them is configured, nothing of what is told may
// have changed by a byte. The golden file was made by this very test, run with
// -update in the tree of that version (b4fe949). To make it anew with a newer one
// would prove nothing.
//
// In the file every sixtieth event stands in full, all are summed up by the hundred, and
// the snapshots and the state that is left in one sum each.
func TestToldAsBeforeHolds(t *testing.T) {
	golden := filepath.Join("testdata", "told_before_holds.golden")
	var got []byte
	synctest.Test(t, func(t *testing.T) { got = newDay(t).told(t) })
	if *update {
		if err := os.WriteFile(golden, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	gotLines, wantLines := bytes.Split(got, []byte("\n")), bytes.Split(want, []byte("\n"))
	for i := range min(len(gotLines), len(wantLines)) {
		if !bytes.Equal(gotLines[i], wantLines[i]) {
			t.Fatalf("line %d is\n%s\nwant\n%s", i+1, gotLines[i], wantLines[i])
		}
	}
	if len(gotLines) != len(wantLines) {
		t.Errorf("%d lines, want %d", len(gotLines), len(wantLines))
	}
}

const (
	dayUsers   = 400
	daySweeps  = 120
	dayInFull  = 60 // of so many events one stands in full
	dayPerLine = 100
)

// dice draw the same on every machine and with every version of Go.
type dice uint64

func (d *dice) next() uint64 { // splitmix64
	*d += 0x9e3779b97f4a7c15
	z := uint64(*d)
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// roll returns a number below n.
func (d *dice) roll(n int) int { return int(d.next() % uint64(n)) }

// one tells whether the one case of n is drawn.
func (d *dice) one(n int) bool { return d.roll(n) == 0 }

// paper is a ledger that writes down everything.
type paper struct {
	users     map[string]presence.State
	lastSeq   int64
	lastSweep int64
	events    []presence.Transition
	snapshots []presence.Snapshot
	failsAt   int  // commit that fails; below 0 none
	applied   bool // whether it is done all the same
}

func (p *paper) Enroll(_ context.Context, ids []string) (states []presence.State, err error) {
	for _, id := range ids {
		s, known := p.users[id]
		if !known {
			s.User = presence.User{No: uint32(len(p.users) + 1), ID: id}
		}
		s.Watched, s.Status, s.Detail = true, presence.Unknown, presence.NoDetail
		p.users[id] = s
		states = append(states, s)
	}
	return states, nil
}

func (p *paper) Commit(_ context.Context, c presence.Changes, sweep int64) error {
	p.failsAt--
	if fails := p.failsAt == -1; fails && !p.applied {
		return errFault
	}
	for _, t := range c.Transitions {
		p.events, p.lastSeq = append(p.events, t), t.Seq
	}
	for _, s := range c.States {
		if s.Since.IsZero() && s.Watched {
			s.Since = p.users[s.User.ID].Since
		}
		p.users[s.User.ID] = s
	}
	p.lastSweep = sweep
	if p.failsAt == -1 {
		return errFault
	}
	return nil
}

func (p *paper) SaveSnapshot(_ context.Context, s presence.Snapshot) error {
	p.snapshots, p.lastSweep = append(p.snapshots, s), s.Sweep
	return nil
}

// day is an app to which a day of everything happens: users who change, answers that
// lack somebody, requests that fail, a watchlist that is edited and truncated, writes
// that fail before or after they were done, terms that end. All that is drawn comes
// in an order that no goroutine can change.
type day struct {
	dice
	paper *paper
	list  *list
	on    map[string]bool // who is watched
	says  map[string]said
	sweep int // from 0

	askingEnds int                // batch before which asking fails; below 0 never
	end        context.CancelFunc // of the sweep, where it is broken off
	endsAt     int                // batch before which it is; below 0 never
}

func newDay(t *testing.T) *day {
	d := &day{dice: 20261122, paper: &paper{users: map[string]presence.State{}}, list: newList(), on: map[string]bool{}, says: map[string]said{}}
	for _, id := range names(dayUsers) {
		d.on[id] = true
		d.says[id] = sayings[1+d.roll(3)]
	}
	if !testing.Verbose() {
		return d
	}
	t.Cleanup(func() { t.Logf("%d events, %d snapshots", len(d.paper.events), len(d.paper.snapshots)) })
	return d
}

// told lives through the day and returns what the golden file has of it.
func (d *day) told(t *testing.T) []byte {
	r := d.term(t)
	for d.sweep = range daySweeps {
		d.draw()
		ctx, cancel := context.WithCancel(t.Context())
		d.end = cancel
		r.Again = d.again()
		_, err := r.Sweep(ctx)
		cancel()
		time.Sleep(time.Duration(1+d.roll(60_000)) * time.Millisecond)
		if errors.Is(err, ErrTermOver) || d.one(17) {
			r = d.term(t)
		}
	}
	return d.lines(t)
}

// term begins a term as after the lease was won: the state is loaded in one order.
func (d *day) term(t *testing.T) *Recorder {
	schedule, err := ParseSchedule("@every 10s")
	if err != nil {
		t.Fatal(err)
	}
	m := diff.New(d.paper.lastSeq)
	for _, s := range d.states() {
		if s.Watched {
			m.Add(s, s.AskedAt)
		}
	}
	return &Recorder{
		Watchlist: d.list, Zim: d, Ledger: d.paper, Memory: m, LastSweep: d.paper.lastSweep, Schedule: schedule, Log: zerolog.Nop(),
	}
}

func (d *day) states() []presence.State {
	return slices.SortedFunc(maps.Values(d.paper.users), func(a, b presence.State) int { return cmp.Compare(a.User.No, b.User.No) })
}

// draw decides what the next sweep finds.
func (d *day) draw() {
	for _, id := range names(dayUsers) {
		if d.one(12) {
			d.says[id] = sayings[1+d.roll(3)]
		}
		if d.one(150) {
			d.on[id] = !d.on[id]
		}
	}
	d.list.ids, d.list.fails = nil, -1
	for _, id := range names(dayUsers) {
		if d.on[id] && !d.truncated(id) {
			d.list.ids = append(d.list.ids, id)
		}
	}
	if d.one(11) {
		d.list.fails = d.roll(100)
	}
	d.askingEnds, d.paper.failsAt, d.endsAt = -1, -1, -1
	switch d.roll(8) {
	case 0:
		d.askingEnds = d.roll(6)
	case 1:
		d.paper.failsAt, d.paper.applied = d.roll(4), d.one(2)
	case 2:
		d.endsAt = d.roll(6)
	}
}

// truncated says who is off the watchlist for a while: of each thirty sweeps in one,
// which is held, and in two, which is not.
func (d *day) truncated(id string) bool {
	return (d.sweep%30 == 10 || d.sweep%30 == 20 || d.sweep%30 == 21) && len(id)*7+int(id[len(id)-1])%10 > 56
}

// again has some told once more, now and then.
func (d *day) again() func() ([]string, int64) {
	var ids []string
	if d.one(9) {
		for range 5 {
			ids = append(ids, fmt.Sprintf("user-%d", d.roll(dayUsers)))
		}
	}
	asOf := d.paper.lastSeq - int64(d.roll(200))
	return func() ([]string, int64) { return ids, asOf }
}

// Ask answers in batches, some milliseconds each: in a bubble no time passes before
// everybody waits, so each answer is committed before the next one comes.
func (d *day) Ask(ctx context.Context, users iter.Seq[presence.User], answers chan<- presence.Answer) (Asked, error) {
	asked, batch := Asked{}, 0
	for some := range slices.Chunk(slices.Collect(users), 37) {
		switch batch {
		case d.askingEnds:
			return asked, errFault
		case d.endsAt:
			d.end()
			return asked, context.Cause(ctx)
		}
		batch++
		asked.Requests++
		a := presence.Answer{AskedAt: presence.Instant(time.Now())}
		time.Sleep(time.Duration(1+d.roll(200_000)) * time.Microsecond)
		a.At = presence.Instant(time.Now())
		d.fill(&a, some)
		answers <- a
		time.Sleep(time.Millisecond)
	}
	return asked, nil
}

// Confirm is never asked for by default; a version that has no such lane has no use
// for it.
func (d *day) Confirm(context.Context, []presence.User, chan<- presence.Answer) (Asked, error) {
	panic("somebody is asked again by default")
}

// fill answers a batch: what is true, with misses here and there, and with nobody at
// all or everybody in one status now and then, as by default all is believed.
func (d *day) fill(a *presence.Answer, users []presence.User) {
	failed, gone := d.one(15), d.one(25)
	for _, u := range users {
		s := d.says[u.ID]
		switch {
		case failed:
			a.Missed = append(a.Missed, presence.Miss{User: u, Reason: presence.MissFailed})
		case d.one(40):
			a.Missed = append(a.Missed, presence.Miss{User: u, Reason: presence.MissAbsent})
		case gone:
			a.Observations = append(a.Observations, presence.Observation{User: u, Status: presence.Offline, Detail: presence.NoSession})
		default:
			a.Observations = append(a.Observations, presence.Observation{User: u, Status: s.status, Detail: s.detail})
		}
	}
}

// lines are the golden file's.
func (d *day) lines(t *testing.T) []byte {
	var out bytes.Buffer
	sum := sha256.New()
	for i, tr := range d.paper.events {
		e := presence.Event{AppID: 1234567890, Log: "7f3a90c2", Encoding: presence.EncodingV1, Transition: tr}
		data, err := e.Data()
		if err != nil {
			t.Fatal(err)
		}
		line := fmt.Sprintf("%s %s %s\n", e.ID(), e.Subject(), data)
		if i%dayInFull == 0 {
			out.WriteString(line)
		}
		sum.Write([]byte(line))
		if n := i + 1; n%dayPerLine == 0 || n == len(d.paper.events) {
			fmt.Fprintf(&out, "events to %d: %x\n", n, sum.Sum(nil))
		}
	}
	d.sum(&out, "snapshots", func(h hash.Hash) {
		for _, s := range d.paper.snapshots {
			fmt.Fprintln(h, s.Sweep, s.Started.UnixMicro(), s.Finished.UnixMicro(), s.Seq, s.Online, s.Known, s.Missed, s.Watched, s.Seen, s.Transitions, s.Requests)
		}
	})
	d.sum(&out, "states", func(h hash.Hash) {
		for _, s := range d.states() {
			fmt.Fprintln(h, s.User.No, s.User.ID, s.Watched, s.Status, s.Detail, s.Since.UnixMicro(), s.ObservedAt.UnixMicro(), s.AskedAt.UnixMicro(), s.LastSeq)
		}
	})
	return out.Bytes()
}

func (d *day) sum(out *bytes.Buffer, what string, write func(hash.Hash)) {
	h := sha256.New()
	write(h)
	fmt.Fprintf(out, "%s: %x\n", what, h.Sum(nil))
}
