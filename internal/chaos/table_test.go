package chaos

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/zim-presence/poller/internal/audit"
)

// table is what is told at the end.
type table struct {
	seed   uint64
	lasted time.Duration
	crowd  *crowd
	sound  bool // everything came to rest
	rows   []row
}

// row is one app.
type row struct {
	report     *audit.Report
	subscriber *subscriber
	sweeps     int64
	requests   int
	most       int // requests in a sliding second
	over       int // how often that was more than the limit
}

func (w *world) print(t table) string {
	var b strings.Builder
	fmt.Fprintf(&b, "\n%d daemons, %d apps of %d users, %s of faults, seed %d\n", daemons, apps, t.crowd.users, t.lasted.Round(time.Second), t.seed)
	fmt.Fprintf(&b, "%d flips; the watchlist: %d added, %d removed, %d times reloaded\n",
		t.crowd.flips.Load(), t.crowd.added.Load(), t.crowd.removed.Load(), t.crowd.reloads.Load())
	if !t.sound {
		fmt.Fprintf(&b, "THE PROGRAM DID NOT COME TO REST\n")
	}
	out := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	total := 0
	fmt.Fprintf(out, "\nfault\ttimes\n")
	for _, k := range kinds() {
		fmt.Fprintf(out, "%s\t%d\n", k.name, w.strikes.counts[k.name])
		total += w.strikes.counts[k.name]
	}
	fmt.Fprintf(out, "all\t%d\n", total)
	fmt.Fprintf(out, "\napp\tevents\tlost\tdoubled\treordered\tothers\theard\tsweeps\trequests\tmost in a second\ttoo many\n")
	for _, r := range t.rows {
		c := r.report.Count
		others := -c[audit.Lost] - c[audit.Doubled] - c[audit.Reordered]
		for _, n := range c {
			others += n
		}
		fmt.Fprintf(out, "%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\n", r.report.App, r.report.Events, c[audit.Lost], c[audit.Doubled], c[audit.Reordered],
			others, r.subscriber.heard.Load(), r.sweeps, r.requests, r.most, r.over)
	}
	w.printTakeovers(out)
	_ = out.Flush() // into memory
	for _, d := range w.daemons {
		for _, e := range d.endedUnasked() {
			fmt.Fprintln(&b, e)
		}
	}
	return b.String()
}

// printTakeovers tells how long apps went without a request after their holder
// was hurt, with nothing else broken, and with other things broken too.
func (w *world) printTakeovers(out *tabwriter.Writer) {
	clean, all := map[string][]time.Duration{}, map[string][]time.Duration{}
	for _, t := range w.leases.takeovers {
		all[t.kind] = append(all[t.kind], t.took)
		if t.clean {
			clean[t.kind] = append(clean[t.kind], t.took)
		}
	}
	fmt.Fprintf(out, "\ntaken over after\talone: times\tmedian\tworst\tamong others: times\tmedian\tworst\n")
	for _, kind := range slices.Sorted(maps.Keys(all)) {
		fmt.Fprintf(out, "%s\t%s\t%s\n", kind, spread(clean[kind]), spread(all[kind]))
	}
}

// spread is how many, the median and the worst.
func spread(d []time.Duration) string {
	if len(d) == 0 {
		return "0\t-\t-"
	}
	slices.Sort(d)
	return fmt.Sprintf("%d\t%.1fs\t%.1fs", len(d), d[len(d)/2].Seconds(), d[len(d)-1].Seconds())
}
