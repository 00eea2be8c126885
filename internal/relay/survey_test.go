package relay

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/zim-presence/poller/presence"
)

// archive is a world whose stream can be read back, with a bucket.
type archive struct {
	*world
	// entries is what the bucket holds, by user.
	entries map[string]presence.Event
	// asRead, where not nil, is what is read in place of a message.
	asRead func(presence.Told) presence.Told
	moves  bool // somebody publishes while it is read
	// erased is what the control stream tells; errErased, where not nil, is told instead.
	erased    presence.SeqSet
	errErased error
}

func (a *archive) Erased(context.Context) (presence.SeqSet, error) { return a.erased, a.errErased }

func (a *archive) At(_ context.Context, seqs []int64) (rows []presence.Event, err error) {
	for _, seq := range seqs {
		if row, ok := a.rows[seq]; ok {
			rows = append(rows, row)
		}
	}
	return rows, nil
}

func (a *archive) Events(_ context.Context, first, last uint64) (all []presence.Told, err error) {
	for i := max(first, 1); i <= min(last, uint64(len(a.messages))); i++ {
		m := a.messages[i-1]
		if m.deleted {
			continue
		}
		told, err := toldAs(m.event)
		if err != nil {
			return nil, err
		}
		told.StreamSeq = i
		if a.asRead != nil {
			told = a.asRead(told)
		}
		all = append(all, told)
	}
	if a.moves {
		a.messages = append(a.messages, message{event: event(int64(len(a.messages)) + 1)})
	}
	return all, nil
}

func (a *archive) Bucket(_ context.Context, yield func([]presence.Told) error) error {
	for _, e := range a.entries {
		told, err := toldAs(e)
		if err == nil {
			err = yield([]presence.Told{told})
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (a *archive) BucketNewest(context.Context) (newest presence.Told, err error) {
	for _, e := range a.entries {
		if e.Seq > newest.Seq {
			newest, err = toldAs(e)
		}
	}
	return newest, err
}

func toldAs(e presence.Event) (presence.Told, error) {
	data, err := e.Data()
	return presence.Told{StreamSeq: uint64(e.Seq), Seq: e.Seq, ID: e.ID(), Subject: e.Subject(), Data: data}, err
}

// archived is a world of told events, the newest of which the bucket remembers
// as the last of the users.
func archived(told int64, of func(seq int64) presence.Event) *archive {
	a := &archive{world: newWorld(), entries: map[string]presence.Event{}}
	for seq := int64(1); seq <= told; seq++ {
		e := of(seq)
		a.newest, a.rows[seq] = seq, e
		a.messages = append(a.messages, message{event: e})
		a.entries[e.User.ID] = e
	}
	a.began = 1
	a.cursor = presence.Cursor{Seq: told, StreamSeq: uint64(told), StreamCreated: a.created}
	return a
}

// remember puts the newest of the bucket where the tail shows it.
func (a *archive) remember() {
	a.bucket, _ = a.BucketNewest(context.Background())
}

// survey runs one, and returns what it found.
func (a *archive) survey(acceptGap bool) (Split, map[int64]presence.Event, error) {
	found := map[int64]presence.Event{}
	var twice error
	s := Survey{App: app, Ledger: a, Rows: a, Cursors: a, Stream: a, Archive: a, AcceptGap: acceptGap, Found: func(events []presence.Event) error {
		for _, e := range events {
			if _, ok := found[e.Seq]; ok {
				twice = fmt.Errorf("event %d was found twice", e.Seq)
			}
			found[e.Seq] = e
		}
		return nil
	}}
	split, err := s.Run(context.Background())
	return split, found, errors.Join(err, twice)
}

func ofSeven(seq int64) presence.Event {
	e := event(seq)
	e.User.ID = fmt.Sprintf("user-%d", seq%7)
	return e
}

func TestSurvey(t *testing.T) {
	for _, c := range []struct {
		name    string
		happen  func(*archive)
		fork    int64
		missing string // in GapError's words
		last    int64  // 0 for 100
	}{
		{"restored", func(a *archive) { a.back(60) }, 60, "", 0},
		{"overtaken", func(a *archive) { a.back(60); a.goOn(120) }, 60, "", 0},
		{"overtaken by as much", func(a *archive) { a.back(60); a.goOn(100) }, 60, "", 0},
		{"nearly overtaken", func(a *archive) { a.back(60); a.goOn(99) }, 60, "", 0},
		{"empty", func(a *archive) { a.back(0); a.cursor = presence.Cursor{} }, 0, "", 0},
		{"a row changed by hand", func(a *archive) { a.back(60); a.rows[30] = elsewhere(30) }, 60, "", 0},
		{"the row at the end changed by hand", func(a *archive) { a.rows[100] = elsewhere(100) }, 99, "", 0},
		{"rows missing behind the end", func(a *archive) { a.goOn(110); delete(a.rows, 105) }, 100, "", 0},
		{"never told here", func(a *archive) {
			a.back(0)
			a.goOn(50)
			a.cursor = presence.Cursor{Seq: 50, StreamSeq: 50, StreamCreated: a.created.Add(1)}
		}, 0, "", 0},
		{"never told here, front expired", func(a *archive) {
			a.back(0)
			a.goOn(50)
			for seq, e := range a.rows {
				e.Log = "00000000"
				a.rows[seq] = e
			}
			a.lose(1, 70)
			a.cursor = presence.Cursor{Seq: 50, StreamSeq: 50, StreamCreated: a.created.Add(1)}
		}, 0, "1 to 70", 0},
		{"front expired up to the fork", func(a *archive) { a.back(60); a.lose(1, 60) }, 60, "", 0},
		{"front expired behind the fork", func(a *archive) { a.back(60); a.lose(1, 80) }, 60, "61 to 80", 0},
		{"front expired, the cursor of another stream", func(a *archive) {
			a.back(60)
			a.lose(1, 60)
			a.cursor.StreamCreated = a.created.Add(1)
		}, 60, "", 0}, // the log is the same
		{"front expired, a cursor that knows too much", func(a *archive) {
			a.back(60)
			a.goOn(90)
			a.lose(1, 70)
			a.cursor = presence.Cursor{Seq: 90, StreamSeq: 90, StreamCreated: a.created}
		}, 0, "1 to 70", 0},
		{"a message removed by hand", func(a *archive) { a.back(60); a.lose(70, 70); a.lose(75, 76) }, 60, "70, 75 to 76", 0},
		{"the last message removed by hand", func(a *archive) { a.back(60); a.lose(100, 100); a.remember() }, 60, "", 0},
		{"made anew", func(a *archive) { a.back(97); a.recreate(); a.remember() }, 97, "", 0},
		{"made anew, long restored", func(a *archive) { a.back(60); a.recreate(); a.remember() }, 60, "61 to 93", 0},
		{"made anew, overtaken", func(a *archive) { a.back(97); a.goOn(130); a.recreate(); a.remember() }, 97, "", 0},
		{"all expired", func(a *archive) { a.back(97); a.expireAll(); a.remember() }, 97, "", 0},
		{"all expired, and no bucket", func(a *archive) { a.back(97); a.expireAll(); clear(a.entries) }, 97, "98 to 100", 0},
		{"another stream expired, and no bucket", func(a *archive) {
			a.back(97)
			a.expireAll()
			a.created = a.created.Add(1000)
			clear(a.entries)
		}, 0, "behind 0", -1},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := archived(100, ofSeven)
			c.happen(a)
			var gap *GapError
			_, _, err := a.survey(false)
			if c.missing == "" && err != nil || c.missing != "" && (!errors.As(err, &gap) || !strings.Contains(err.Error(), "events "+c.missing+" were told")) {
				t.Fatalf("Run() = %v, want missing %q", err, c.missing)
			}
			split, found, err := a.survey(true)
			if c.last == 0 {
				c.last = 100
			}
			if err != nil || split.Why == nil || split.Fork != c.fork || split.Told.Seq != max(c.last, 0) {
				t.Fatalf("split %+v, %v, want the fork at %d and %d last", split, err, c.fork, max(c.last, 0))
			}
			if split.Told.StreamSeq != uint64(len(a.messages)) || !split.Told.StreamCreated.Equal(a.created) {
				t.Errorf("told %+v, want the end of the stream", split.Told)
			}
			a.check(t, split, found)
		})
	}
}

// lose deletes messages.
func (a *archive) lose(first, last int) {
	for i := first; i <= last; i++ {
		a.messages[i-1].deleted = true
	}
}

// check wants every number behind the fork either found, as it was told, or
// missing.
func (a *archive) check(t interface {
	Helper()
	Fatalf(format string, args ...any)
}, split Split, found map[int64]presence.Event) {
	t.Helper()
	n := int64(0)
	for seq := split.Fork + 1; seq <= split.Told.Seq; seq++ {
		e, ok := found[seq]
		gone := slices.ContainsFunc(split.Missing, func(s Span) bool { return s.First <= seq && (seq <= s.Last || s.Last == 0) })
		if ok == gone {
			t.Fatalf("event %d: found %t, missing %t", seq, ok, gone)
		}
		if !ok {
			continue
		}
		n++
		want := ofSeven(seq)
		if e.ID() != want.ID() || e.User.ID != want.User.ID || !e.ObservedAt.Equal(want.ObservedAt) {
			t.Fatalf("event %d was found as %+v", seq, e)
		}
	}
	if n != split.Imported {
		t.Fatalf("%d events behind the fork were found, it says %d", n, split.Imported)
	}
}

// Whatever expires and whatever the database has become: where the stream
// reaches back to the fork it is found, and where it does not, nothing that was
// never told is taken for told.
func TestSurveyNeverKeepsWhatWasNotTold(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		last := rapid.Int64Range(1, 60).Draw(t, "told")
		fork := rapid.Int64Range(0, last-1).Draw(t, "fork")
		a := archived(last, ofSeven)
		a.back(fork)
		a.goOn(fork + rapid.Int64Range(0, 70).Draw(t, "gone on"))
		a.cursor.Seq = rapid.Int64Range(0, fork).Draw(t, "cursor")
		a.cursor.StreamSeq = uint64(a.cursor.Seq)
		expired := rapid.IntRange(0, int(last)).Draw(t, "expired")
		a.lose(1, expired)
		if rapid.Bool().Draw(t, "no bucket") && expired < int(last) {
			clear(a.entries)
		}
		a.remember()
		split, found, err := a.survey(true)
		if err != nil || split.Why == nil {
			t.Fatalf("%+v, %v", split, err)
		}
		if split.Fork > fork || int64(expired) < fork && split.Fork != fork || split.Fork < a.cursor.Seq || split.Told.Seq != last {
			t.Fatalf("fork %d, last %d, want %d and %d, and no fork under %d", split.Fork, split.Told.Seq, fork, last, a.cursor.Seq)
		}
		a.check(t, split, found)
		if int64(expired) <= split.Fork && len(split.Missing) > 0 {
			t.Fatalf("missing %v, where the stream has all behind %d", split.Missing, split.Fork)
		}
	})
}

// Nothing to adopt, also with much that is not told yet.
func TestSurveyOfALedgerThatAgrees(t *testing.T) {
	a := archived(100, ofSeven)
	for a.newest < 5000 {
		a.newest++
		a.rows[a.newest] = ofSeven(a.newest)
	}
	if split, found, err := a.survey(false); err != nil || split.Why != nil || len(found) != 0 || split.Told.Seq != 0 {
		t.Errorf("split %+v, %d found, %v, want nothing", split, len(found), err)
	}
}

// What cannot be adopted is refused.
func TestSurveyRefuses(t *testing.T) {
	for _, c := range []struct {
		name   string
		happen func(*archive)
		want   string
	}{
		{"somebody else's message at the end", func(a *archive) { a.intrude() }, errForeign.Error()},
		{"a newer version's event", func(a *archive) {
			a.asRead = func(told presence.Told) presence.Told {
				if told.Seq == 80 {
					told.Data = []byte(strings.Replace(string(told.Data), `"sweep":1}`, `"sweep":1,"more":true}`, 1))
				}
				return told
			}
		}, "event 80, message 80, cannot be taken over as it was told"},
		{"an event on another subject", func(a *archive) {
			a.asRead = func(told presence.Told) presence.Told {
				if told.Seq == 80 {
					told.Subject += "x"
				}
				return told
			}
		}, "its subject is"},
		{"a copy in the middle", func(a *archive) { a.messages[80].event = ofSeven(70) }, "the stream has event 80 before event 70"},
		{"a bucket that knows more", func(a *archive) { a.rollBack(10) }, "mend: nats kv del presence_1234567890"},
		{"somebody who publishes", func(a *archive) { a.moves = true }, ErrMoved.Error()},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := archived(100, ofSeven)
			a.back(60)
			c.happen(a)
			if split, _, err := a.survey(true); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%+v, %v, want %q", split, err, c.want)
			}
		})
	}
	a, enough := archived(100, ofSeven), errors.New("enough")
	a.back(60)
	s := Survey{App: app, Ledger: a, Rows: a, Cursors: a, Stream: a, Archive: a, Found: func([]presence.Event) error { return enough }}
	if _, err := s.Run(t.Context()); !errors.Is(err, enough) {
		t.Errorf("Run() = %v, want what Found said", err)
	}
}
