package audit

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/zim-presence/poller/presence"
)

// lookAgain is the pause between two looks at a bucket that has not caught up.
const lookAgain = 200 * time.Millisecond

// readBucket holds the bucket against each user's last event. It trails the
// stream and is looked at again until it agrees or the patience is over.
func (a Audit) readBucket(ctx context.Context, b *book, r *Report) error {
	giveUp := time.Now().Add(a.Patience)
	for {
		look := &Report{App: a.App, Count: map[Kind]int{}}
		if err := a.lookAtBucket(ctx, b, look); err != nil {
			return err
		}
		if look.Sound() || !time.Now().Before(giveUp) {
			for kind, n := range look.Count {
				r.Count[kind] += n
			}
			r.Findings = append(r.Findings, look.Findings...)
			return nil
		}
		select {
		case <-time.After(lookAgain):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// lookAtBucket reads the stream behind the bucket: one message a key.
func (a Audit) lookAtBucket(ctx context.Context, b *book, r *Report) error {
	prefix := "$KV.presence_" + a.name() + "."
	found := make(map[string]bool, len(b.chains))
	err := a.each(ctx, "KV_presence_"+a.name(), func(m jetstream.Msg) error {
		if user, err := presence.DecodeUser(strings.TrimPrefix(m.Subject(), prefix)); err == nil {
			found[user] = true
			a.judgeEntry(b, r, user, m)
		} else {
			r.add(Bucket, m.Subject(), "the bucket has %s, which is nobody's key", m.Subject())
		}
		return nil
	})
	if err != nil {
		return err
	}
	for user, last := range b.chains {
		if !found[user] {
			r.add(Bucket, user, "the bucket has nothing of %q, whose last event is %d", user, last.seq)
		}
	}
	return nil
}

// judgeEntry holds a user's entry against the ledger: it has to be the last
// event, with the bytes of its row.
func (a Audit) judgeEntry(b *book, r *Report, user string, m jetstream.Msg) {
	last := b.chains[user]
	e, err := presence.ParseEvent(m.Data())
	switch {
	case err != nil:
		r.add(Bucket, user, "the bucket's entry of %q cannot be read: %v", user, err)
	case e.User.ID != user || e.Seq != last.seq:
		r.add(Bucket, user, "the bucket has event %d of %q, the last is %d", e.Seq, user, last.seq)
	case b.sum(e.Subject(), e.ID(), strconv.FormatInt(e.Seq, 10), presence.ContentType, m.Data()) != b.sums[last.seq-1]:
		r.add(Bucket, user, "the bucket's entry of %q is not event %d: %s", user, last.seq, m.Data())
	}
}
