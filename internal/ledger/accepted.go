package ledger

import "context"

// gaps writes down which numbers behind the fork stay without a row for ever, so
// that nobody takes them for lost later: the operator has accepted it. What an
// earlier adoption has accepted there may have been found again.
func (f *finish) gaps(ctx context.Context) error {
	if _, err := f.count(ctx, `delete from gaps where app_id = $1 and first_seq > $2`, f.fork); err != nil {
		return err
	}
	if _, err := f.count(ctx, `update gaps set last_seq = $2 where app_id = $1 and last_seq > $2`, f.fork); err != nil {
		return err
	}
	_, err := f.count(ctx, `
		insert into gaps (app_id, first_seq, last_seq)
		select $1, e.before + 1, e.seq - 1
		  from (select seq, lag(seq, 1, $2::bigint) over (order by seq) as before
		          from (select seq from adopted_events
		                 union
		                select $3::bigint + 1) s) e
		 where e.seq > e.before + 1`, f.fork, f.told.Seq)
	return err
}
