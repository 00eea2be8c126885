package zimsim

import "math"

// dice is a splitmix64 sequence: small enough to be thrown away after one request or one user's event, so that
// what is drawn depends on the seed and the place alone, never on the order in which goroutines run.
type dice struct{ x uint64 }

const golden = 0x9e3779b97f4a7c15

// diceAt starts the sequence that belongs to (seed, place, n).
func diceAt(seed, place, n uint64) dice {
	d := dice{seed}
	d.x = d.next() ^ place*0xd1342543de82ef95
	d.x = d.next() ^ n*golden
	return d
}

func (d *dice) next() uint64 {
	d.x += golden
	z := d.x
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// float is uniform in [0, 1).
func (d *dice) float() float64 { return float64(d.next()>>11) / (1 << 53) }

// below is uniform in [0, n) for n > 0; the bias of the modulus is far below what a simulation shows.
func (d *dice) below(n int) int { return int(d.next() % uint64(n)) }

// chance is true with probability p.
func (d *dice) chance(p float64) bool { return d.float() < p }

// exponential draws a waiting time with the given mean, at least one nanosecond.
func (d *dice) exponential(mean float64) int64 {
	return 1 + int64(-mean*math.Log(1-d.float()))
}
