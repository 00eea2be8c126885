package status

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/zim-presence/poller/presence"
)

// other stands for every word that is not of the fixed set.
const other = "other"

// The outcomes of a sweep.
const (
	complete = "complete"
	partial  = "partial"
)

// results are what may become of a request: the codes of the ZIM server API
// that QueryUserOnlineState may answer, 0 first, and what can go wrong before.
func results() []string {
	return []string{
		"0", "1", "2", "3", "7", "105001",
		"100000000", "100000001", "100000002", "100000003", "100000004", "100000005", "100000006", "100000007",
		"100000008", "100000009", "100000010", "100000011", "100000012", "100000013", "100000014", "100000015",
		"100000016", "100000017",
		"660000001", "660000002", "660000003", "660000011", "660000012", "660000028", "660200001", "660300005",
		"http_2xx", "http_3xx", "http_4xx", "http_429", "http_5xx", "timeout", "cut", "unreadable",
	}
}

func reasons() []string {
	return []string{
		string(presence.MissFailed), string(presence.MissAbsent), string(presence.MissConflict),
		string(presence.MissUnreadable), string(presence.MissRefused), string(presence.MissImplausible),
	}
}

func kinds() []string {
	var words []string
	for k := presence.KindOnline; k <= presence.KindRemoved; k++ {
		words = append(words, k.String())
	}
	return append(words, presence.KindStale.String())
}

// whys are why a change is never told: see internal/diff.
func whys() []string { return []string{"hold", "incident", "removed", "stale"} }

// outcomes are what comes of an incident.
func outcomes() []string { return []string{presence.OutcomeReleased, presence.OutcomeDiscarded} }

// counts are the counters of one app by a word of a fixed set. They do not
// change after they were made.
type counts map[string]prometheus.Counter

func countsBy(v *prometheus.CounterVec, app string, words []string) counts {
	c := counts{other: v.WithLabelValues(app, other)}
	for _, w := range words {
		c[w] = v.WithLabelValues(app, w)
	}
	return c
}

// of returns the counter of a word.
func (c counts) of(word string) prometheus.Counter {
	if counter, known := c[word]; known {
		return counter
	}
	return c[other]
}

// add adds n to a counter. A count below 0 is somebody's mistake, and nothing
// to end the process for.
func add(c prometheus.Counter, n int) {
	if n > 0 {
		c.Add(float64(n))
	}
}
