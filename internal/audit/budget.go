package audit

import (
	"fmt"
	"time"
)

// Arrivals looks for seconds with more requests than the limit. arrivals are the
// times at which requests reached the server, in order, from any zero. span is
// the length of the window: a second, or less where arrivals may have been noted
// late. It returns the most requests in any window of that length, and a finding
// for each request that was one too many, the first ten with their text.
func Arrivals(app uint32, arrivals []time.Duration, limit int, span time.Duration) (most int, findings []Finding) {
	first := 0
	for i, at := range arrivals {
		for arrivals[first] <= at-span {
			first++
		}
		in := i - first + 1
		most = max(most, in)
		if in > limit && len(findings) < keptOfAKind {
			findings = append(findings, Finding{
				App: app, Kind: Budget, Key: fmt.Sprint(i),
				Text: fmt.Sprintf("request %d was the %dth within %s, the limit is %d in %s", i, in, at-arrivals[first], limit, span),
			})
		}
	}
	return most, findings
}
