package ledger

import (
	"context"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// OnlineAt is how many users were what at the end of a sweep.
type OnlineAt struct {
	// At is the end of the step in which the sweep ended.
	At                       time.Time
	Watched, Seen            int
	Online, Offline, Unknown int
}

// headOfBitmap is how much of a bitmap is read: the sizes of its containers, which
// stand at its beginning, of 60,000,000 users.
const headOfBitmap = 4096

// OnlineOver returns how many were online by the snapshots that were finished between
// two times: of each step, whole seconds long and counted from 1970, by the newest,
// in order. Snapshots are walked back one by one, since they have no index by time,
// and only the beginnings of bitmaps are read: 360 snapshots of a million users take
// some milliseconds.
func (p *Past) OnlineOver(ctx context.Context, from, to time.Time, step time.Duration) (counts []OnlineAt, err error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	rows, err := p.db.Query(ctx, `
		with recursive walk as (
		    (select sweep, finished from snapshots where app_id = $1 order by sweep desc limit 1)
		     union all
		    select s.sweep, s.finished
		      from walk w
		     cross join lateral (select sweep, finished
		                           from snapshots
		                          where app_id = $1 and sweep < w.sweep
		                          order by sweep desc
		                          limit 1) s
		     where s.finished >= $2
		), newest as (
		    select ceil(extract(epoch from finished) / $4)::bigint as step, max(sweep) as sweep
		      from walk
		     where finished >= $2
		     group by 1
		    having ceil(extract(epoch from max(finished)) / $4) * $4 <= extract(epoch from $3::timestamptz)
		)
		select n.step, s.watched, s.seen, substring(s.online from 1 for $5), substring(s.known from 1 for $5)
		  from newest n
		  join snapshots s on s.app_id = $1 and s.sweep = n.sweep
		 order by n.step`, int64(p.ledger.app), from, to, int64(step/time.Second), headOfBitmap)
	if err != nil {
		return nil, fmt.Errorf("read who was online in app %d since %s: %w", p.ledger.app, from.Format(time.RFC3339), err)
	}
	var at int64
	var watched, seen int
	var online, known []byte
	_, err = pgx.ForEachRow(rows, []any{&at, &watched, &seen, &online, &known}, func() error {
		onlines, readOnlines := cardinality(online)
		knowns, readKnowns := cardinality(known)
		if readOnlines && readKnowns {
			counts = append(counts, OnlineAt{
				At: time.Unix(at*int64(step/time.Second), 0).UTC(), Watched: watched, Seen: seen,
				Online: onlines, Offline: max(0, knowns-onlines), Unknown: max(0, watched-knowns),
			})
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read who was online in app %d since %s: %w", p.ledger.app, from.Format(time.RFC3339), err)
	}
	return counts, nil
}

// cardinality is how many members a Roaring bitmap in the portable format has, by its
// beginning; ok is false where that is too short, or no such thing.
//
//	cookie ─→ number of containers ─→ (bits: which are runs) ─→ key and size of each
func cardinality(head []byte) (n int, ok bool) {
	const plain, withRuns = 12346, 12347
	if len(head) < 8 {
		return 0, len(head) == 0
	}
	cookie := binary.LittleEndian.Uint32(head)
	var containers, at int
	switch {
	case cookie == plain:
		containers, at = int(binary.LittleEndian.Uint32(head[4:])), 8
	case cookie&0xffff == withRuns:
		containers = int(cookie>>16) + 1
		at = 4 + (containers+7)/8
	default:
		return 0, false
	}
	if containers > (len(head)-at)/4 {
		return 0, false
	}
	for range containers {
		n += int(binary.LittleEndian.Uint16(head[at+2:])) + 1
		at += 4
	}
	return n, true
}
