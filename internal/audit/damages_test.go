package audit_test

import (
	"bytes"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/RoaringBitmap/roaring/v2"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/zim-presence/poller/internal/audit"
	"github.com/zim-presence/poller/presence"
)

func ledgerDamages() []damage {
	return []damage{
		{name: "a row deleted", want: []audit.Kind{audit.Ledger}, harm: func(c *copied) string {
			seq := c.moved(10)
			c.sql(`delete from transitions where seq = $1`, seq)
			return strconv.FormatInt(seq, 10)
		}},
		{name: "the last row deleted", want: []audit.Kind{audit.Ledger}, harm: func(c *copied) string {
			c.sql(`delete from transitions where seq = $1`, c.last)
			return "apps"
		}},
		{name: "a row's status is another", want: []audit.Kind{audit.Altered, audit.Chain}, harm: func(c *copied) string {
			seq := c.moved(10)
			c.sql(`update transitions set to_status = from_status where seq = $1`, seq)
			return strconv.FormatInt(seq, 10)
		}},
		{name: "a row is another's", want: []audit.Kind{audit.Altered, audit.Chain, audit.Snapshot, audit.State}, first: 1, harm: func(c *copied) string {
			c.sql(`update transitions set user_id = 'mallory', user_no = 9999 where seq = $1`, c.moved(10))
			return "mallory"
		}},
		{name: "a row names another before it", want: []audit.Kind{audit.Altered, audit.Chain}, first: 1, harm: func(c *copied) string {
			c.sql(`update transitions set prev_seq = prev_seq - 1 where seq = $1`, c.moved(12))
			return mover
		}},
		{name: "two rows have changed places", want: []audit.Kind{audit.Altered, audit.Chain}, harm: func(c *copied) string {
			first := c.number(`
				select min(t.seq)
				  from transitions t
				  join transitions n on n.seq = t.seq + 1
				 where t.seq > $1 and n.seq <= $2
				   and exists (select from transitions l where l.user_id = t.user_id and l.seq > n.seq)
				   and exists (select from transitions l where l.user_id = n.user_id and l.seq > n.seq)`, c.sweep[9], c.sweep[10])
			c.sql(`update transitions set seq = -seq where seq in ($1::bigint, $1::bigint + 1)`, first)
			c.sql(`update transitions set seq = $1::bigint where seq = -$1::bigint - 1`, first)
			c.sql(`update transitions set seq = $1::bigint + 1 where seq = -$1::bigint`, first)
			return strconv.FormatInt(first, 10)
		}},
		{name: "a row was recorded before the one before", want: []audit.Kind{audit.Ledger}, harm: func(c *copied) string {
			c.sql(`update transitions set recorded_at = recorded_at - interval '1 microsecond' where seq = $1`, c.sweep[12]+2)
			return strconv.FormatInt(c.sweep[12]+2, 10)
		}},
		{name: "a row that is no event", want: []audit.Kind{audit.Ledger}, harm: func(c *copied) string {
			seq := c.moved(10)
			c.sql(`update transitions set kind = 'asleep' where seq = $1`, seq)
			return strconv.FormatInt(seq, 10)
		}},
		{name: "the app counts more", want: []audit.Kind{audit.Ledger}, harm: func(c *copied) string {
			c.sql(`update apps set last_seq = last_seq + 1000000000000`)
			return "apps"
		}},
		{name: "the app counts less", want: []audit.Kind{audit.Ledger}, harm: func(c *copied) string {
			c.sql(`update apps set last_seq = last_seq - 1`)
			return "apps"
		}},
		{name: "a partition dropped by hand", want: []audit.Kind{audit.Ledger}, harm: func(c *copied) string {
			c.sql(`drop table transitions_old`)
			return strconv.FormatInt(c.pruned+1, 10)
		}},
		{name: "an accepted gap is shorter", want: []audit.Kind{audit.Ledger}, harm: func(c *copied) string {
			c.sql(`update gaps set last_seq = last_seq - 1`)
			return strconv.FormatInt(c.gap[1], 10)
		}},
	}
}

func snapshotDamages() []damage {
	flip := func(column string, no uint32) func(*copied) string {
		return func(c *copied) string {
			var set []byte
			must(c.t, c.pool.QueryRow(c.t.Context(), `select `+column+` from snapshots where sweep = 10`).Scan(&set))
			c.sql(`update snapshots set `+column+` = $1 where sweep = 10`, flipped(c.t, set, no))
			return "10"
		}
	}
	return []damage{
		{name: "a bit of who is online is another", want: []audit.Kind{audit.Snapshot}, harm: flip("online", 100)},
		{name: "a bit of who is known is another", want: []audit.Kind{audit.Snapshot}, harm: flip("known", 5000)},
		// What comes before it is not there: the others say that it is wrong.
		{name: "a bit of the oldest snapshot is another", want: []audit.Kind{audit.Snapshot}, harm: func(c *copied) string {
			var set []byte
			must(c.t, c.pool.QueryRow(c.t.Context(), `select online from snapshots where sweep = 2`).Scan(&set))
			no := c.number(`select min(user_no) from (select user_no from transitions group by 1 having min(sweep) >= 8) t where user_no <> 0`)
			c.sql(`update snapshots set online = $1 where sweep = 2`, flipped(c.t, set, uint32(no)))
			return "3"
		}},
		{name: "a bitmap is cut off", want: []audit.Kind{audit.Snapshot}, harm: func(c *copied) string {
			c.sql(`update snapshots set online = substr(online, 1, length(online) - 3) where sweep = 10`)
			return "10"
		}},
		{name: "a snapshot stands at an earlier event", want: []audit.Kind{audit.Snapshot}, harm: func(c *copied) string {
			c.sql(`update snapshots set seq = seq - 1 where sweep = 10`)
			return "10"
		}},
		{name: "a snapshot stands at a later event", want: []audit.Kind{audit.Snapshot}, harm: func(c *copied) string {
			c.sql(`update snapshots set seq = seq + 1 where sweep = 10`)
			return "10"
		}},
		{name: "a snapshot stands before the one before", want: []audit.Kind{audit.Snapshot}, harm: func(c *copied) string {
			c.sql(`update snapshots set seq = $1 where sweep = 10`, c.sweep[8])
			return "10"
		}},
		{name: "a snapshot counts other events", want: []audit.Kind{audit.Snapshot}, harm: func(c *copied) string {
			c.sql(`update snapshots set transitions = transitions + 1 where sweep = 10`)
			return "10"
		}},
		{name: "a snapshot counts other users", want: []audit.Kind{audit.Snapshot}, harm: func(c *copied) string {
			c.sql(`update snapshots set watched = watched + 1, seen = seen + 1 where sweep = 10`)
			return "10"
		}},
		{name: "a snapshot names others as missed", want: []audit.Kind{audit.Snapshot}, harm: func(c *copied) string {
			c.sql(`update snapshots set missed = missed + '{[100, 102)}' where sweep = 10`)
			return "10"
		}},
	}
}

func stateDamages() []damage {
	of := func(sql string) func(*copied) string {
		return func(c *copied) string {
			c.sql(sql+` where user_id = $1`, mover)
			return mover
		}
	}
	state := []audit.Kind{audit.State}
	return []damage{
		{name: "a state is another", want: state, harm: of(`update user_states set status = case status when 'online' then 'offline' else 'online' end`)},
		{name: "a state is of another event", want: state, harm: of(`update user_states set last_seq = last_seq - 1`)},
		{name: "a state is since another time", want: state, harm: of(`update user_states set since = since + interval '1 microsecond'`)},
		{name: "a state is not watched", want: state, harm: of(`update user_states set watched = false`)},
		{name: "a state has another number", want: state, harm: func(c *copied) string {
			c.sql(`update apps set last_user_no = 5000`)
			return of(`update user_states set user_no = 5000`)(c)
		}},
		{name: "a state has a number that was never given", want: state, harm: of(`update user_states set user_no = 5000`)},
		{name: "a state has the number of who was erased", want: state, harm: of(`update user_states set user_no = (select user_no from erasures)`)},
		{name: "a state is gone", want: state, harm: of(`delete from user_states`)},
		{name: "a state that nobody has", want: state, harm: func(c *copied) string {
			c.sql(`insert into user_states (app_id, user_no, user_id, status, last_seq) values ($1, 301, 'mallory', 'online', 3)`, app)
			c.sql(`update apps set last_user_no = 301`)
			return "mallory"
		}},
	}
}

func streamDamages() []damage {
	return []damage{
		{name: "a message deleted", streams: true, want: []audit.Kind{audit.Lost}, harm: func(c *copied) string {
			seq := c.moved(10)
			must(c.t, c.stream("PRESENCE_").DeleteMsg(c.t.Context(), uint64(seq)))
			return strconv.FormatInt(seq, 10)
		}},
		{name: "the last message deleted", streams: true, want: []audit.Kind{audit.Lost}, harm: func(c *copied) string {
			must(c.t, c.stream("PRESENCE_").DeleteMsg(c.t.Context(), uint64(c.last)))
			return strconv.FormatInt(c.last, 10)
		}},
		{name: "other bytes under the same id", streams: true, want: []audit.Kind{audit.Altered}, harm: func(c *copied) string {
			altered := c.moved(10)
			c.rewrite("PRESENCE_", func(seq int64, m *nats.Msg) *nats.Msg {
				if seq == altered {
					m.Data = bytes.Replace(m.Data, []byte(`"sweep":1`), []byte(`"sweep":2`), 1)
				}
				return m
			})
			return strconv.FormatInt(altered, 10)
		}},
		{name: "two messages have changed places", streams: true, want: []audit.Kind{audit.Reordered}, harm: func(c *copied) string {
			first := c.sweep[12] + 1
			var before *nats.Msg
			c.rewrite("PRESENCE_", func(seq int64, m *nats.Msg) *nats.Msg {
				switch seq {
				case first:
					before = m
				case first + 1:
					before.Subject, m.Subject = m.Subject, before.Subject
					before.Data, m.Data = m.Data, before.Data
					before.Header, m.Header = m.Header, before.Header
				}
				return m
			})
			return strconv.FormatInt(first, 10)
		}},
		{name: "a message twice", streams: true, want: []audit.Kind{audit.Doubled}, harm: func(c *copied) string {
			seq := c.moved(14)
			raw, err := c.stream("PRESENCE_").GetMsg(c.t.Context(), uint64(seq))
			must(c.t, err)
			_, err = c.js.PublishMsg(c.t.Context(), &nats.Msg{Subject: raw.Subject, Data: raw.Data, Header: nats.Header{presence.HeaderSeq: raw.Header[presence.HeaderSeq]}})
			must(c.t, err)
			c.settle()
			return strconv.FormatInt(seq, 10)
		}},
		{name: "somebody else's message", streams: true, want: []audit.Kind{audit.Foreign}, harm: func(c *copied) string {
			subject := presence.Subject(app, presence.KindOnline, "mallory")
			_, err := c.js.Publish(c.t.Context(), subject, []byte("hello"))
			must(c.t, err)
			c.settle()
			return subject
		}},
		{name: "no stream", streams: true, want: []audit.Kind{audit.Lost}, harm: func(c *copied) string {
			must(c.t, c.js.DeleteStream(c.t.Context(), "PRESENCE_"+strconv.Itoa(app)))
			return "PRESENCE_" + strconv.Itoa(app)
		}},
	}
}

func bucketDamages() []damage {
	return []damage{
		{name: "a key is gone", streams: true, want: []audit.Kind{audit.Bucket}, harm: func(c *copied) string {
			must(c.t, c.stream("KV_presence_").Purge(c.t.Context(), jetstream.WithPurgeSubject("$KV.presence_"+strconv.Itoa(app)+"."+presence.EncodeUser(mover))))
			return mover
		}},
		{name: "an old entry", streams: true, want: []audit.Kind{audit.Bucket}, harm: func(c *copied) string {
			old, err := c.stream("PRESENCE_").GetMsg(c.t.Context(), uint64(c.moved(12)))
			must(c.t, err)
			c.rewrite("KV_presence_", func(_ int64, m *nats.Msg) *nats.Msg {
				if strings.HasSuffix(m.Subject, "."+presence.EncodeUser(mover)) {
					m.Data, m.Header = old.Data, old.Header
				}
				return m
			})
			return mover
		}},
		{name: "an altered entry", streams: true, want: []audit.Kind{audit.Bucket}, harm: func(c *copied) string {
			c.rewrite("KV_presence_", func(_ int64, m *nats.Msg) *nats.Msg {
				if strings.HasSuffix(m.Subject, "."+presence.EncodeUser(mover)) {
					m.Data = bytes.Replace(m.Data, []byte(`"after"`), []byte(`"before"`), 1)
				}
				return m
			})
			return mover
		}},
	}
}

func erasureDamages() []damage {
	return []damage{
		{name: "an erased event that was not told so", streams: true, want: []audit.Kind{audit.Erasure}, harm: func(c *copied) string {
			must(c.t, c.js.DeleteStream(c.t.Context(), "PRESENCE_CONTROL_"+strconv.Itoa(app)))
			return strconv.FormatInt(c.erasedFrom(1), 10)
		}},
		{name: "an event that was told as erased and stands", streams: true, want: []audit.Kind{audit.Erasure}, harm: func(c *copied) string {
			seq := c.moved(10)
			e := presence.ErasedOf(app, presence.SeqSetOf(seq), time.Now())[0]
			data, err := e.Data()
			must(c.t, err)
			_, err = c.js.Publish(c.t.Context(), e.Subject(), data)
			must(c.t, err)
			return strconv.FormatInt(seq, 10)
		}},
		{name: "a tombstone under another id", want: []audit.Kind{audit.Altered}, harm: func(c *copied) string {
			seq := c.erasedFrom(0)
			c.sql(`update transitions set log = '00000000' where seq = $1`, seq)
			return strconv.FormatInt(seq, 10)
		}},
		{name: "a tombstone that still says whose it was", want: []audit.Kind{audit.Ledger}, harm: func(c *copied) string {
			seq := c.erasedFrom(0)
			c.sql(`update transitions set user_id = $1 where seq = $2`, erased, seq)
			return strconv.FormatInt(seq, 10)
		}},
	}
}

// flipped returns a bitmap with one user in it, or out of it.
func flipped(t *testing.T, set []byte, no uint32) []byte {
	t.Helper()
	users := roaring.New()
	must(t, users.UnmarshalBinary(set))
	users.Flip(uint64(no), uint64(no)+1)
	data, err := users.ToBytes()
	must(t, err)
	return data
}
