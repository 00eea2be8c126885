package status

import (
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"
)

// A refused configuration shows until a good one was read.
func TestReloads(t *testing.T) {
	m := NewMetrics("v1")
	for n, c := range []struct {
		do                              func()
		applied, refused, good, pending float64
	}{
		{func() {}, 0, 0, 1, 0},
		{func() { m.Reloaded(2) }, 1, 0, 1, 2},
		{m.ReloadRefused, 1, 1, 0, 2},
		{func() { m.Reloaded(0) }, 2, 1, 1, 0},
	} {
		c.do()
		all := series(t, m)
		if all["config_reloads_total applied"] != c.applied || all["config_reloads_total refused"] != c.refused ||
			all["config_restart_keys"] != c.pending || testutil.ToFloat64(m.reload.good) != c.good {
			t.Errorf("after %d: %v, last successful %g; want %+v", n, all, testutil.ToFloat64(m.reload.good), c)
		}
	}
}
