package audit

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/zim-presence/poller/presence"
)

const (
	// lookAgain is the pause between two looks at a bucket that has not caught up.
	lookAgain = 200 * time.Millisecond
	// keyOfRemoved is how long the bucket has a user who was removed, less what
	// clocks may be apart.
	keyOfRemoved = 7*24*time.Hour - time.Hour
)

// readBucket holds the bucket against each user's last event. It trails the
// stream and is looked at again until it agrees or the patience is over.
func (it *inspection) readBucket(ctx context.Context) error {
	if it.Range.ends() {
		return nil
	}
	giveUp := time.Now().Add(it.Patience)
	for {
		look := &look{inspection: it, found: newReport(it.App), keys: make(map[string]bool, len(it.book.users))}
		if err := look.run(ctx); err != nil {
			return err
		}
		if look.found.Sound() || !time.Now().Before(giveUp) {
			it.report.take(look.found)
			return nil
		}
		select {
		case <-time.After(lookAgain):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// take adds what one look at the bucket found.
func (r *Report) take(look *Report) {
	for kind, n := range look.Count {
		r.Count[kind] += n
	}
	r.Findings = append(r.Findings, look.Findings...)
	r.Entries, r.Awaited = look.Entries, look.Awaited
	r.Standing += look.Standing
}

// look is one look at the bucket.
type look struct {
	*inspection
	found *Report
	keys  map[string]bool
}

// run reads the stream behind the bucket: one message a key.
func (l *look) run(ctx context.Context) error {
	app := strconv.FormatUint(uint64(l.App), 10)
	now, err := l.shore(ctx, "KV_presence_"+app)
	if err != nil {
		return err
	}
	now.moving = true
	prefix := "$KV.presence_" + app + "."
	err = now.each(ctx, 0, func(m jetstream.Msg) error {
		token := strings.TrimPrefix(m.Subject(), prefix)
		user, err := presence.DecodeUser(token)
		if err == nil {
			l.keys[user] = true
		}
		if wrong := l.judgeEntry(user, m); wrong != "" && !l.copied(token) {
			l.found.add(Bucket, user, "the bucket's entry of %q %s", token, wrong)
		}
		return nil
	})
	if err != nil {
		return err
	}
	l.found.Entries = len(l.keys)
	return l.absent(ctx, now.created)
}

// copied tells whether the key is that of somebody else's message in the stream,
// which the server has copied.
func (l *look) copied(token string) bool {
	for kind := presence.KindOnline; kind <= presence.KindStale; kind++ {
		subject := presence.Subject(l.App, kind, "")
		if kind == presence.KindErased {
			subject = strings.TrimSuffix(subject, presence.ErasedToken)
		}
		if l.strange[subject+token] {
			return true
		}
	}
	return false
}

// judgeEntry says what is wrong with an entry: it has to be the user's last event,
// or one that came after the database was read.
func (l *look) judgeEntry(user string, m jetstream.Msg) string {
	text := m.Headers().Get(presence.HeaderSeq)
	seq, _ := strconv.ParseInt(text, 10, 64) // what is no number is 0, which is no event
	sum, erased := l.book.get(seq)
	last := l.book.users[user]
	switch {
	case strings.HasSuffix(m.Subject(), "."+presence.ErasedToken) && (erased || sum == noRow):
		return "" // the last event that was told as erased, nobody's
	case seq > l.book.last && l.Live, l.book.missing(seq):
		return "" // it came later, or that it is missing was told
	case erased:
		l.found.Standing++
		return ""
	case last == nil:
		return fmt.Sprintf("is event %q, and nothing is known of that user", text)
	case last.beyond && seq == last.seq:
		e, err := presence.ParseEvent(m.Data())
		if err != nil || e.User.ID != user || e.Seq != seq || e.To != last.to {
			return fmt.Sprintf("is not event %d, which led to %s: %s", seq, last.to, m.Data())
		}
		return ""
	case last.told == 0 && seq > 0 && seq < l.book.first:
		return "" // what came behind it is not told yet
	case seq != last.seq && (!l.Live || seq < last.told || seq > last.seq):
		return fmt.Sprintf("is event %q, the last is %d", text, last.seq)
	case sum != unreadable && !l.same(user, text, sum, m):
		return fmt.Sprintf("is not event %d of the ledger: %s", seq, m.Data())
	}
	return ""
}

// same tells whether an entry is an event of the ledger. The bucket's subjects do
// not say the kind.
func (l *look) same(user, seq string, sum uint64, m jetstream.Msg) bool {
	header := m.Headers()
	for kind := presence.KindOnline; kind <= presence.KindStale; kind++ {
		if l.book.sum(presence.Subject(l.App, kind, user), header.Get(presence.HeaderID), seq, header.Get(presence.HeaderType), m.Data()) == sum {
			return true
		}
	}
	return false
}

// absent finds users without an entry. It is fine of who was removed long ago, and,
// until the program has told them again, of whom a bucket that was made anew could
// not find in the stream.
func (l *look) absent(ctx context.Context, created time.Time) error {
	whole := created.Truncate(time.Microsecond).Equal(l.kept.cursor.whole)
	old := time.Now().Add(-keyOfRemoved).UnixMicro()
	var missing []string
	for user, last := range l.book.users {
		switch {
		case l.keys[user], last.told == 0, last.to == presence.Unknown && (last.beyond || last.observed < old):
		case !whole && l.Live && (last.beyond || !l.book.saw(last.told)):
			l.found.Awaited++
		default:
			missing = append(missing, user)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	still, err := l.stillThere(ctx, missing)
	slices.Sort(still)
	for _, user := range still {
		l.found.add(Bucket, user, "the bucket has nothing of %q, whose last event is %d", user, l.book.users[user].seq)
	}
	return err
}

// stillThere returns those who have a state now: others have been erased since the
// database was read, or it was told that they have none.
func (l *look) stillThere(ctx context.Context, users []string) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, asideTimeout)
	defer cancel()
	rows, err := l.DB.Query(ctx, `select user_id from user_states where app_id = $1 and user_id = any($2)`, int64(l.App), users)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}
