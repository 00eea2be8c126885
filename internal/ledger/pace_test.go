package ledger

import (
	"testing"
	"time"

	"github.com/zim-presence/poller/presence"
)

func TestPace(t *testing.T) {
	l, pool := open(t)
	if got, err := l.Past().Pace(t.Context(), time.Hour); err != nil || got != (Pace{}) {
		t.Errorf("of nothing: %+v, %v; want nothing", got, err)
	}
	lease := win(t, l)
	now := presence.Instant(time.Now())
	for i, ago := range []time.Duration{90 * time.Minute, 30 * time.Minute, 10 * time.Minute} {
		sweep := int64(i + 1)
		if err := lease.SaveSnapshot(t.Context(), presence.Snapshot{
			Sweep: sweep, Started: now.Add(-ago), Finished: now.Add(-ago + time.Duration(sweep)*1500*time.Millisecond), Requests: 10 * (i + 1),
			Online: []byte{}, Known: []byte{},
		}); err != nil {
			t.Fatal(err)
		}
	}
	midnight := now.Truncate(24 * time.Hour)
	for day := -1; day <= 0; day++ {
		recorded(t, pool, int64(10*day+11), int64(10*day+20), midnight.AddDate(0, 0, day))
	}
	// Ten each: as they are, out of the hour, before its first sweep, and no changes.
	execute(t, pool, `update transitions set recorded_at = $1::timestamptz + seq * interval '1 millisecond'`, now.Add(-5*time.Minute))
	execute(t, pool, `update transitions set recorded_at = $1 where seq <= 3`, now.Add(-2*time.Hour))
	execute(t, pool, `update transitions set recorded_at = $1 where seq between 4 and 6`, now.Add(-40*time.Minute))
	execute(t, pool, `update transitions set kind = 'baseline', from_status = 'unknown' where seq between 7 and 8`)
	got, err := l.Past().Pace(t.Context(), time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	if got.Changes != 12 || got.For < 30*time.Minute || got.For > 45*time.Minute {
		t.Errorf("%d changes in %s, want 12 in half an hour", got.Changes, got.For)
	}
	if got.Sweep != 3 || got.Took != 4500*time.Millisecond || got.Requests != 30 {
		t.Errorf("the newest sweep is %d, took %s and %d requests; want 3, 4.5s and 30", got.Sweep, got.Took, got.Requests)
	}
}
