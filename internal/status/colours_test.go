package status

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

// The colours of the checks are metrics: as they are when somebody reads them.
func TestColoursAreMetrics(t *testing.T) {
	m, c := NewMetrics("v1"), NewChecks()
	m.Show(c)
	want := func(text string) {
		t.Helper()
		if err := testutil.GatherAndCompare(m.registry, strings.NewReader(text), "poller_ready", "poller_check_ok"); err != nil {
			t.Error(err)
		}
	}
	const head = `
# HELP poller_ready 1 while /readyz answers 200: there are checks, and all are green.
# TYPE poller_ready gauge
`
	const help = `
# HELP poller_check_ok 1 while a check of /readyz is green, 0 while it is red. A check that there is not has no series.
# TYPE poller_check_ok gauge
`
	want(head + "poller_ready 0\n")
	c.Set("postgres", nil)
	c.Set("zim/7", nil)
	want(head + "poller_ready 1\n" + help + `
poller_check_ok{app="",check="postgres"} 1
poller_check_ok{app="7",check="zim"} 1
`)
	c.Set("zim/7", errors.New("wrong"))
	want(head + "poller_ready 0\n" + help + `
poller_check_ok{app="",check="postgres"} 1
poller_check_ok{app="7",check="zim"} 0
`)
	c.Remove("zim/7")
	want(head + "poller_ready 1\n" + help + `poller_check_ok{app="",check="postgres"} 1` + "\n")
}

// Of an app that is polled here no more nothing is left, and the others stay.
func TestForget(t *testing.T) {
	m := NewMetrics("v1")
	m.App(7)
	before := names(t, m)
	for range 2 {
		m.App(8).SetLag(3, 0)
		m.Forget(8)
		if diff := cmp.Diff(before, names(t, m)); diff != "" {
			t.Errorf("series (-before +behind):\n%s", diff)
		}
	}
	m.Forget(9)
}
