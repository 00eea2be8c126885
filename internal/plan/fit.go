package plan

import (
	"sort"
	"time"
)

// The most that is looked for.
const (
	mostUsers = 1 << 50
	mostRate  = 100_000
	mostEvery = 366 * 24 * 60 * 60 // seconds
)

// FitUsers is the largest watchlist whose sweeps fit the schedule, at the same
// number of changes an hour for each user. 0 where not even one user does.
func FitUsers(w Want) int {
	perUser := 0.0
	if w.Users > 0 {
		perUser = w.ChangesPerHour / float64(w.Users)
	}
	return sort.Search(mostUsers, func(n int) bool { return !Reckon(w.of(n+1, perUser)).Fits })
}

// of is the same of another number of users.
func (w Want) of(users int, changesPerUser float64) Want {
	w.Users, w.ChangesPerHour = users, changesPerUser*float64(users)
	return w
}

// FitRate is the lowest whole rate at which the sweeps fit the schedule, 0 for none.
func FitRate(w Want) int {
	n := sort.Search(mostRate, func(n int) bool {
		w.Rate = float64(n + 1)
		return Reckon(w).Fits
	}) + 1
	if n > mostRate {
		return 0
	}
	return n
}

// FitEvery is the shortest schedule of whole seconds, at even distances, into which
// the sweeps fit; 0 for none.
func FitEvery(w Want) time.Duration {
	n := sort.Search(mostEvery, func(n int) bool {
		w.Gaps = []time.Duration{time.Duration(n+1) * time.Second}
		return Reckon(w).Fits
	}) + 1
	if n > mostEvery {
		return 0
	}
	return time.Duration(n) * time.Second
}

// Point is the delay until a change is seen, on a watchlist of a size.
type Point struct {
	Users int
	Seen  Span
}

// Curve reckons the delay for each of these sizes, at the same number of changes an
// hour for each user.
func Curve(w Want, sizes []int) []Point {
	perUser := 0.0
	if w.Users > 0 {
		perUser = w.ChangesPerHour / float64(w.Users)
	}
	points := make([]Point, len(sizes))
	for i, n := range sizes {
		points[i] = Point{n, Reckon(w.of(n, perUser)).Seen}
	}
	return points
}
