package main

import (
	"context"
	"fmt"

	"github.com/zim-presence/poller/internal/audit"
	"github.com/zim-presence/poller/presence"
)

// auditPart proves what an audit does of a stream that has lost its front: it is
// the ledger's from that event on, each user's chain goes on from the last event
// that was told, also from those that the stream has lost, and the state is where
// it leads. next is the first event behind the adoption.
func (w *world) auditPart(first uint64, next int64) {
	w.t.Helper()
	all := w.events(int(first) - 1)
	if len(all) == 0 || all[len(all)-1].Seq < next {
		w.t.Fatalf("%d events, want some behind %d", len(all), next)
	}
	if n := w.count(`select count(*) from transitions where seq >= $1`, all[0].Seq); n != len(all) {
		w.t.Errorf("the ledger has %d events from %d on, the stream %d", n, all[0].Seq, len(all))
	}
	lastOf := map[string]told{}
	for i, e := range all {
		if e.Seq != all[0].Seq+int64(i) {
			w.t.Fatalf("event %d in place of %d", e.Seq, all[0].Seq+int64(i))
		}
		if before, ok := lastOf[e.User.ID]; ok && (e.PrevSeq != before.Seq || e.From != before.To) {
			w.t.Errorf("event %d of %q: from %s behind %d, want from %s behind %d", e.Seq, e.User.ID, e.From, e.PrevSeq, before.To, before.Seq)
		}
		lastOf[e.User.ID] = e
	}
	bucket, err := w.js.KeyValue(context.Background(), fmt.Sprintf("presence_%d", uint32(worldApp)))
	if err != nil {
		w.t.Fatal(err)
	}
	for _, e := range lastOf {
		w.until("the bucket follows", func() bool {
			entry, err := bucket.Get(context.Background(), presence.EncodeUser(e.User.ID))
			return err == nil && string(entry.Value()) == string(e.data)
		})
	}
	odd := w.count(`
		select count(*)
		  from user_states u
		  left join lateral (select seq, to_status from transitions t where t.user_no = u.user_no order by seq desc limit 1) t on true
		 where u.last_seq <> coalesce(t.seq, 0) or u.status <> coalesce(t.to_status, 'unknown')`)
	broken := w.count(`
		select count(*)
		  from (select seq, prev_seq, from_status, lag(seq) over w as before, lag(to_status) over w as was
		          from transitions window w as (partition by user_id order by seq)) t
		 where seq >= $1 and before is not null and (prev_seq <> before or from_status <> was)`, next)
	if odd+broken > 0 {
		w.t.Errorf("%d users are not where the ledger leads, %d chains are broken", odd, broken)
	}
	keys, err := bucket.Keys(context.Background())
	if err != nil {
		w.t.Fatal(err)
	}
	for _, key := range keys {
		entry, err := bucket.Get(context.Background(), key)
		if err != nil {
			w.t.Fatal(err)
		}
		e, err := presence.ParseEvent(entry.Value())
		if err != nil {
			w.t.Fatal(err)
		}
		if n := w.count(`select count(*) from user_states where user_id = $1 and status = $2 and last_seq = $3`, e.User.ID, e.To.String(), e.Seq); n != 1 {
			w.t.Errorf("%q is not as the bucket says: %s behind event %d", e.User.ID, e.To, e.Seq)
		}
		if truth, _, _ := w.truth(e.User.ID); e.To != presence.Unknown && truth != e.To {
			w.t.Errorf("%q is told as %s, the truth is %s", e.User.ID, e.To, truth)
		}
	}
	report, err := audit.Audit{DB: w.pool, JS: w.js, App: worldApp, Live: true, Patience: patience}.Run(context.Background())
	if err != nil {
		w.t.Fatal(err)
	}
	for _, f := range report.Findings {
		w.t.Error(f)
	}
	if gaps := w.count(`select coalesce(sum(last_seq - first_seq + 1), 0) from gaps`); report.Accepted != gaps {
		w.t.Errorf("%d events are missing in the ledger, %d were accepted", report.Accepted, gaps)
	}
}
