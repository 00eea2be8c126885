package diff

import (
	"math"
	"math/bits"
	"time"

	"github.com/zim-presence/poller/presence"
)

// Census is how the users of a memory stood at one moment.
type Census struct {
	At time.Time
	// Online, Offline and Unknown are how many are told to be so; everybody is one of
	// them.
	Online, Offline, Unknown int
	Ages                     Ages
}

// Ages are how old the newest answers about the users are, whatever they said: the
// time since each was asked for, 0 for one that a clock has put into the future.
type Ages struct {
	// Users are how many have an answer that is younger than each of [AgeBounds], and
	// not than the bound before; the last one more is of those who are older than all.
	Users [12]int
	// Never is of how many no answer is known. They count nowhere else.
	Never int
	// Median and P99 are at least the age that a half, and 99 of a hundred, of the
	// answers do not exceed, and over it by a part in 64 at most. Oldest is exact. All are
	// 0 where there is no answer.
	Median, P99, Oldest time.Duration
}

// AgeBounds are the upper bounds of the groups of [Ages], rising.
func AgeBounds() [11]time.Duration {
	return [11]time.Duration{
		5 * time.Second, 10 * time.Second, 30 * time.Second,
		time.Minute, 2 * time.Minute, 5 * time.Minute, 10 * time.Minute, 30 * time.Minute,
		time.Hour, 6 * time.Hour, 24 * time.Hour,
	}
}

// Census counts everybody, as of now. It changes nothing. A million users take some
// milliseconds (BenchmarkCensus).
func (m *Memory) Census(now time.Time) Census {
	c := Census{At: now}
	var told [presence.Online + 1]int
	ages := newAgeCounts()
	at := now.UnixMicro()
	for r := range m.records() {
		told[r.status]++
		if newest := m.answered(r); newest != 0 {
			ages.add(max(0, at-newest))
		} else {
			c.Ages.Never++
		}
	}
	c.Online, c.Offline, c.Unknown = told[presence.Online], told[presence.Offline], told[presence.Unknown]
	ages.into(&c.Ages)
	return c
}

// fine is into how many parts the ages from one power of two to the next are cut.
const fine = 64

// ageCounts counts ages in µs twice: by the bounds, and by parts that are a
// sixty-fourth of their age wide, from which the quantiles are read. So nothing has
// to be sorted.
type ageCounts struct {
	bounds [11]int64
	users  [12]int
	parts  [58 * fine]uint32
	oldest int64
}

func newAgeCounts() *ageCounts {
	a := &ageCounts{}
	for i, b := range AgeBounds() {
		a.bounds[i] = b.Microseconds()
	}
	return a
}

func (a *ageCounts) add(age int64) {
	group := 0
	for group < len(a.bounds) && age >= a.bounds[group] {
		group++
	}
	a.users[group]++
	a.parts[partOf(age)]++
	a.oldest = max(a.oldest, age)
}

// partOf is the part that an age falls into: each age below 128 is a part of its own.
func partOf(age int64) int {
	shift := max(0, bits.Len64(uint64(age))-7)
	return shift*fine + int(age>>shift)
}

// endOf is the highest age of a part.
func endOf(part int) int64 {
	shift := max(0, part/fine-1)
	return (int64(part-shift*fine)+1)<<shift - 1
}

// into writes what was counted.
func (a *ageCounts) into(to *Ages) {
	to.Users = a.users
	n := 0
	for _, users := range a.users {
		n += users
	}
	to.Oldest = micro(a.oldest)
	to.Median, to.P99 = a.quantile(n, 0.5), a.quantile(n, 0.99)
}

// quantile is the end of the part in which the share q of n ages is reached.
func (a *ageCounts) quantile(n int, q float64) time.Duration {
	left := int(math.Ceil(q * float64(n)))
	for part, users := range a.parts {
		if left -= int(users); left <= 0 && n > 0 {
			return micro(min(endOf(part), a.oldest))
		}
	}
	return 0
}

// micro is so many µs, as far as a duration reaches.
func micro(n int64) time.Duration {
	return time.Duration(min(n, math.MaxInt64/int64(time.Microsecond))) * time.Microsecond
}
