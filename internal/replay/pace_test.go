package replay

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"github.com/zim-presence/poller/presence"
)

// counting is a ledger of as many events as are asked for, and all else that a
// replay without state needs.
type counting struct {
	told  []time.Time // of each message
	moved []time.Time
	ends  int
}

func (c *counting) Page(_ context.Context, behind presence.Cursor, last int64) (events []presence.Event, end presence.Cursor, erased int64, err error) {
	for seq := behind.Seq + 1; seq <= min(last, behind.Seq+100); seq++ {
		events = append(events, presence.Event{AppID: 7, Log: "abcdef01", Encoding: presence.EncodingV1, Transition: presence.Transition{
			Seq: seq, User: presence.User{No: 1, ID: "u"}, Kind: presence.KindOnline, From: presence.Offline, To: presence.Online, ObservedAt: time.Unix(seq, 0),
		}})
	}
	return events, presence.Cursor{Seq: min(last, behind.Seq+100)}, 0, nil
}

func (c *counting) Ensure(context.Context) ([]string, error)        { return nil, nil }
func (c *counting) End(context.Context) (presence.ReplayEnd, error) { return presence.ReplayEnd{}, nil }
func (c *counting) Tell(_ context.Context, m []presence.Retold, told func(int)) (int, error) {
	for range m {
		c.told = append(c.told, time.Now())
	}
	told(len(m))
	return len(m), nil
}

// book is the row.
type book struct{ *counting }

func (b book) Move(context.Context, int64, int64) error {
	b.moved = append(b.moved, time.Now())
	return nil
}
func (b book) End(context.Context, int64, int64) error { b.ends++; return nil }
func (b book) Erased(context.Context) (bool, error)    { return false, nil }

func (b book) Erasures(context.Context) (int64, error) { return 0, nil }

// No second holds more messages than the rate, they are evenly spread, and the row
// moves all the while.
func TestTheRate(t *testing.T) {
	for _, c := range []struct {
		rate   float64
		events int64
	}{{0.2, 4}, {3, 20}, {50, 500}, {777, 3000}, {20_000, 50_000}} {
		synctest.Test(t, func(t *testing.T) {
			it := &counting{}
			r := Replay{
				App: 7, Name: "r", First: 1, Last: c.events, Ledger: it, Teller: it, Book: book{it}, Rate: c.rate,
				Weather: func(error) bool { return false }, Log: zerolog.Nop(),
			}
			begun := time.Now()
			if report, err := r.Run(t.Context()); err != nil || report.Told != c.events || it.ends != 1 {
				t.Fatalf("%g a second: %+v, %v, ended %d times", c.rate, report, err, it.ends)
			}
			portion := max(1, int(c.rate/portions)+1)
			for i := range it.told {
				j := i + int(c.rate) + portion
				if j < len(it.told) && it.told[j].Sub(it.told[i]) < time.Second {
					t.Fatalf("%g a second: messages %d to %d within %s", c.rate, i, j, it.told[j].Sub(it.told[i]))
				}
			}
			want := time.Duration(float64(c.events) / c.rate * float64(time.Second))
			if took := it.told[len(it.told)-1].Sub(begun); took > want || took < want-time.Duration(float64(portion+1)/c.rate*float64(time.Second)) {
				t.Errorf("%g a second: %d events took %s, want %s", c.rate, c.events, took, want)
			}
			for i, at := range it.moved {
				if i > 0 && at.Sub(it.moved[i-1]) > 2*clock {
					t.Errorf("%g a second: the row stood still for %s", c.rate, at.Sub(it.moved[i-1]))
				}
			}
		})
	}
}
