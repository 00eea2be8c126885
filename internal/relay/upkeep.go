package relay

import (
	"context"
	"hash/maphash"
	"slices"
	"strings"
	"time"

	"github.com/rs/zerolog"

	"github.com/zim-presence/poller/presence"
)

const (
	// upkeepClock is how often the bucket is looked at for having been made anew.
	upkeepClock = 10 * time.Second
	// countClock is how often its keys are counted, which asks more of Postgres.
	countClock = time.Hour
	// catchUp is how long a bucket that was made anew may take to hold what the
	// stream has; the server takes up to half a minute.
	catchUp = time.Minute
	// keyOfRemoved is how long the bucket keeps a user who was removed, so that who
	// comes late learns of the removal.
	keyOfRemoved = 7 * 24 * time.Hour
	// purgePage is how many removed users are read at a time.
	purgePage = 1000
)

// Keys is the bucket.
type Keys interface {
	BucketState(ctx context.Context) (presence.BucketState, error)
	Bucket(ctx context.Context, yield func([]presence.Told) error) error
	PurgeKey(ctx context.Context, user string, seq int64) error
}

// Notes is what is remembered of the bucket.
type Notes interface {
	Bucket(ctx context.Context) (presence.BucketNote, error)
	SaveBucket(ctx context.Context, n presence.BucketNote) error
}

// Users is who should be in the bucket, and who no longer.
type Users interface {
	// Keyed counts who has a key where nothing is missing: whose status is known, and
	// who was removed at that moment or later.
	Keyed(ctx context.Context, removedSince time.Time) (int64, error)
	EachKnown(ctx context.Context, upTo int64, yield func(id string) error) error
	Removed(ctx context.Context, from, to time.Time, no uint32, limit int) ([]presence.State, error)
}

// Upkeep looks after the bucket of one app, which the server fills from the
// stream alone. A bucket that was lost and made anew lacks everybody whose last
// event the stream holds no more: they are found, and told again. Who was
// removed seven days ago is taken out. All fields are required.
type Upkeep struct {
	Keys    Keys
	Notes   Notes
	Users   Users
	Cursors Cursors
	// Lost is called with who is missing in the bucket, as of an event, until they
	// are there.
	Lost func(ids []string, asOf int64)
	Log  zerolog.Logger

	looked time.Time // when the keys were last counted, or looked through
	since  time.Time // when a bucket was first seen that is not known to be whole
	pause  time.Duration
}

// Run looks after the bucket until ctx ends. What goes wrong is logged and tried
// again.
func (u *Upkeep) Run(ctx context.Context) {
	for ctx.Err() == nil {
		next := upkeepClock
		if err := u.turn(ctx, time.Now()); err != nil && ctx.Err() == nil {
			u.Log.Warn().Err(err).Msg("the bucket was not looked after; tried again in a minute")
			next = time.Minute
		}
		wait(ctx, next)
	}
}

// turn is one look.
func (u *Upkeep) turn(ctx context.Context, now time.Time) error {
	state, err := u.Keys.BucketState(ctx)
	if err != nil || state.Created.IsZero() {
		return err
	}
	note, err := u.Notes.Bucket(ctx)
	if err != nil {
		return err
	}
	if note.Whole.Equal(state.Created) {
		if now.Sub(u.looked) < countClock {
			return nil
		}
		return u.hourly(ctx, now, state, note)
	}
	if u.since.IsZero() {
		u.since = now
	}
	if now.Sub(u.looked) < u.pause {
		return nil
	}
	return u.look(ctx, now, state, note)
}

// hourly counts, and takes out who was removed long ago.
func (u *Upkeep) hourly(ctx context.Context, now time.Time, state presence.BucketState, note presence.BucketNote) error {
	keyed, err := u.Users.Keyed(ctx, note.PurgedTo)
	if err != nil {
		return err
	}
	if state.Keys < keyed { // somebody has purged keys
		return u.look(ctx, now, state, note)
	}
	u.looked = now
	return u.purge(ctx, now, state, note)
}

// look finds who is missing. A bucket that is still being filled is waited for.
func (u *Upkeep) look(ctx context.Context, now time.Time, state presence.BucketState, note presence.BucketNote) error {
	told, err := u.Cursors.Cursor(ctx)
	if err != nil || told.Seq == 0 {
		return err
	}
	upTo := state.Newest
	if state.Drained {
		upTo = told.Seq
	}
	filled := upTo >= told.Seq
	if !filled && !u.since.IsZero() && now.Sub(u.since) < catchUp {
		return nil
	}
	lost, err := u.missing(ctx, upTo)
	if err != nil {
		return err
	}
	u.looked, u.pause = now, min(max(2*u.pause, time.Minute), countClock)
	if len(lost) > 0 {
		u.Log.Warn().Int("missing", len(lost)).Msg("users are missing in the bucket; each is told again with its next answer")
		u.Lost(lost, upTo)
		return nil
	}
	if !filled {
		return nil
	}
	u.since, u.pause = time.Time{}, 0
	if !note.Whole.Equal(state.Created) {
		// A bucket that was made anew has the removed again whom the stream still has.
		note.PurgedTo = time.Time{}
	}
	note.Whole = state.Created
	if err := u.Notes.SaveBucket(ctx, note); err != nil {
		return err
	}
	return u.purge(ctx, now, state, note)
}

// missing returns whose status is known by an event up to that one, and who has
// no event in the bucket.
func (u *Upkeep) missing(ctx context.Context, upTo int64) (ids []string, err error) {
	seed := maphash.MakeSeed()
	var there []uint64 // a sum of each key: a million of them are 8 MB
	err = u.Keys.Bucket(ctx, func(page []presence.Told) error {
		for i := range page {
			_, key, _ := strings.Cut(strings.TrimPrefix(page[i].Subject, "$KV."), ".")
			there = append(there, maphash.String(seed, key))
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	slices.Sort(there)
	err = u.Users.EachKnown(ctx, upTo, func(id string) error {
		if _, found := slices.BinarySearch(there, maphash.String(seed, presence.EncodeUser(id))); !found {
			ids = append(ids, id)
		}
		return nil
	})
	return ids, err
}

// purge takes out who was removed long ago. The bucket's newest event stays until
// there is a newer one: it shows those who come late how far everything was told,
// which the event stream no longer does where all of it has expired.
func (u *Upkeep) purge(ctx context.Context, now time.Time, state presence.BucketState, note presence.BucketNote) error {
	before := presence.Instant(now.Add(-keyOfRemoved))
	purgedTo := before
	for no := uint32(0); ; {
		removed, err := u.Users.Removed(ctx, note.PurgedTo, before, no, purgePage)
		if err != nil {
			return err
		}
		for _, s := range removed {
			if no = s.User.No; s.LastSeq == state.Newest {
				purgedTo = s.Since
				continue
			}
			if err := u.Keys.PurgeKey(ctx, s.User.ID, s.LastSeq); err != nil {
				return err
			}
		}
		if len(removed) < purgePage {
			break
		}
	}
	note.PurgedTo = purgedTo
	return u.Notes.SaveBucket(ctx, note)
}
