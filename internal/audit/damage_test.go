package audit_test

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/RoaringBitmap/roaring/v2"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/zim-presence/poller/internal/audit"
	"github.com/zim-presence/poller/internal/local/localtest"
	"github.com/zim-presence/poller/presence"
)

// copied is a copy of the past, to be damaged.
type copied struct {
	*past
	t    *testing.T
	pool *pgxpool.Pool
	js   jetstream.JetStream
}

// copy makes a copy of the database, and of the streams too where they are to be
// damaged.
func (p *past) copy(t *testing.T, streams bool) *copied {
	t.Helper()
	settings, err := pgxpool.ParseConfig(p.dsn)
	must(t, err)
	name := settings.ConnConfig.Database
	settings.ConnConfig.Database = "copy_" + strconv.FormatInt(time.Now().UnixNano(), 36)
	admin, err := pgx.Connect(t.Context(), p.admin)
	must(t, err)
	defer func() { must(t, admin.Close(t.Context())) }()
	_, err = admin.Exec(t.Context(), "create database "+settings.ConnConfig.Database+" template "+name)
	must(t, err)
	c := &copied{past: p, t: t}
	c.pool, err = pgxpool.NewWithConfig(t.Context(), settings)
	must(t, err)
	t.Cleanup(c.pool.Close)
	server := p.sound
	if streams {
		server = localtest.NATS(t)
		server.Stop()
		must(t, os.RemoveAll(server.StoreDir()))
		must(t, os.CopyFS(server.StoreDir(), os.DirFS(p.store)))
		server.Start()
	}
	nc, err := nats.Connect(server.URL())
	must(t, err)
	t.Cleanup(nc.Close)
	c.js, err = jetstream.New(nc)
	must(t, err)
	return c
}

func (c *copied) run(a audit.Audit) *audit.Report {
	c.t.Helper()
	a.DB, a.JS, a.App, a.Live = c.pool, c.js, app, true
	r, err := a.Run(c.t.Context())
	must(c.t, err)
	return r
}

// sql damages the database. It has to touch something.
func (c *copied) sql(sql string, args ...any) {
	c.t.Helper()
	execute(c.t, c.pool, sql, args...)
}

func (c *copied) number(sql string, args ...any) (n int64) {
	c.t.Helper()
	must(c.t, c.pool.QueryRow(c.t.Context(), sql, args...).Scan(&n))
	return n
}

// moved returns the mover's event behind the one of a sweep.
func (c *copied) moved(sweep int64) int64 {
	return c.number(`select min(seq) from transitions where user_id = $1 and sweep >= $2`, mover, sweep)
}

func (c *copied) stream(name string) jetstream.Stream {
	c.t.Helper()
	s, err := c.js.Stream(c.t.Context(), name+strconv.Itoa(app))
	must(c.t, err)
	return s
}

// rewrite makes a stream anew, without a source, as a copy of what it holds: each
// message as change returns it, none where that is nil.
func (c *copied) rewrite(name string, change func(seq int64, m *nats.Msg) *nats.Msg) {
	c.t.Helper()
	ctx := c.t.Context()
	s := c.stream(name)
	info := s.CachedInfo()
	var all []*nats.Msg
	for seq := info.State.FirstSeq; seq <= info.State.LastSeq; seq++ {
		raw, err := s.GetMsg(ctx, seq)
		if err != nil {
			continue // erased
		}
		number, _ := strconv.ParseInt(raw.Header.Get(presence.HeaderSeq), 10, 64)
		if m := change(number, &nats.Msg{Subject: raw.Subject, Header: raw.Header, Data: raw.Data}); m != nil {
			all = append(all, m)
		}
	}
	config := info.Config
	config.Sources, config.Duplicates = nil, 0
	if len(config.Subjects) == 0 {
		config.Subjects = []string{"$KV.presence_" + strconv.Itoa(app) + ".>"}
		config.DiscardNewPerSubject = false
	}
	must(c.t, c.js.DeleteStream(ctx, info.Config.Name))
	_, err := c.js.CreateStream(ctx, config)
	must(c.t, err)
	for _, m := range all {
		for name := range m.Header {
			if strings.HasPrefix(name, "Nats-Expected") || name == "Nats-Stream-Source" {
				m.Header.Del(name)
			}
		}
		_, err := c.js.PublishMsg(ctx, m)
		must(c.t, err)
	}
}

// Everything that may be missing is missing in the past, and nothing is found.
func TestSoundPast(t *testing.T) {
	t.Parallel()
	p := newPast(t)
	t.Run("sound", func(t *testing.T) { p.isSound(t) })
	t.Run("ranges", func(t *testing.T) { p.ranges(t) })
	for _, d := range damages() {
		t.Run(d.name, func(t *testing.T) {
			t.Parallel()
			c := p.copy(t, d.streams)
			key := d.harm(c)
			r := c.run(audit.Audit{})
			if got := slices.Sorted(maps.Keys(r.Count)); !slices.Equal(got, d.want) {
				t.Errorf("found %v, want %v: %v", got, d.want, r.Findings)
			}
			if first, _ := r.FirstOf(d.want[d.first]); first.Key != key {
				t.Errorf("the first %s has the key %q, want %q: %v", d.want[d.first], first.Key, key, r.Findings)
			}
		})
	}
}

func (p *past) isSound(t *testing.T) {
	c := p.copy(t, false)
	r := c.run(audit.Audit{Patience: time.Minute})
	if !r.Sound() {
		t.Errorf("a sound past: %v", r.Findings)
	}
	first := p.gap[1] + front
	want := &audit.Report{
		App: app, First: p.pruned + 1, Last: p.last, Pruned: p.pruned, Accepted: int(p.gap[1] - p.gap[0] + 1),
		Events: int(c.number(`select count(*) from transitions`)), Snapshots: sweeps - 2, Users: crowd - 1, Entries: crowd - 1,
		Erased:   int(c.number(`select count(*) from transitions where kind = 'erased'`)),
		Messages: int(p.last-first+1) - int(c.number(`select count(*) from transitions where kind = 'erased' and seq >= $1`, first)) + 1,
		Standing: 1, Count: map[audit.Kind]int{},
	}
	if got, want := fmt.Sprintf("%+v", r), fmt.Sprintf("%+v", want); got != want {
		t.Errorf("looked at %s\nwant %s", got, want)
	}
}

// ranges looks at parts.
func (p *past) ranges(t *testing.T) {
	c := p.copy(t, false)
	var day, at time.Time
	must(t, c.pool.QueryRow(t.Context(), `select min(recorded_at), max(recorded_at) from transitions where seq > $1`, p.day).Scan(&day, &at))
	for _, r := range []struct {
		name        string
		of          audit.Range
		first, last int64
	}{
		{"from the middle of a sweep", audit.Range{First: p.sweep[9] + 3}, p.sweep[9] + 1, p.last},
		{"one event", audit.Range{First: p.sweep[9] + 3, Last: p.sweep[9] + 3}, p.sweep[9] + 1, p.sweep[9] + 3},
		{"within the gap", audit.Range{First: p.gap[0] + 1, Last: p.gap[1] - 1}, p.gap[0], p.gap[1] - 1},
		{"before what is there", audit.Range{First: 1, Last: p.sweep[2]}, p.pruned + 1, p.sweep[2]},
		{"behind what is there", audit.Range{First: p.last + 100}, p.last + 1, p.last},
		{"since a time", audit.Range{Since: day}, p.sweep[3] + 1, p.last},
		{"until a time", audit.Range{Until: day}, p.pruned + 1, p.day},
		{"until before everything", audit.Range{Until: day.AddDate(-1, 0, 0)}, p.pruned + 1, 0},
		{"since the future", audit.Range{Since: at.Add(time.Hour)}, p.last + 1, p.last},
	} {
		got := c.run(audit.Audit{Range: r.of})
		if !got.Sound() || got.First != r.first || got.Last != r.last {
			t.Errorf("%s: looked at %d to %d, want %d to %d; found %v", r.name, got.First, got.Last, r.first, r.last, got.Findings)
		}
	}
}

// damage is one thing done by hand.
type damage struct {
	name    string
	streams bool // which are copied, too
	// harm does it and returns the key under which it has to be found.
	harm  func(c *copied) (key string)
	want  []audit.Kind // sorted
	first int          // of the key
}

func damages() []damage {
	return slices.Concat(ledgerDamages(), snapshotDamages(), stateDamages(), streamDamages(), bucketDamages(), erasureDamages())
}

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
		{name: "a state has another number", want: state, harm: of(`update user_states set user_no = 5000`)},
		{name: "a state is gone", want: state, harm: of(`delete from user_states`)},
		{name: "a state that nobody has", want: state, harm: func(c *copied) string {
			c.sql(`insert into user_states (app_id, user_no, user_id, status, last_seq) values ($1, 301, 'mallory', 'online', 3)`, app)
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

// erasedFrom returns the nth erased event of those that the stream had.
func (c *copied) erasedFrom(n int) int64 {
	i := slices.IndexFunc(c.holes, func(seq int64) bool { return seq >= c.gap[1]+front })
	return c.holes[i+n]
}

// settle waits until the bucket has taken over what is at the end of the stream.
func (c *copied) settle() {
	c.t.Helper()
	last := c.stream("PRESENCE_").CachedInfo().State.LastSeq
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); <-time.After(5 * time.Millisecond) {
		bucket := c.stream("KV_presence_")
		m, err := bucket.GetMsg(c.t.Context(), bucket.CachedInfo().State.LastSeq)
		must(c.t, err)
		if strings.Contains(m.Header.Get("Nats-Stream-Source"), " "+strconv.FormatUint(last, 10)+" ") {
			return
		}
	}
	c.t.Fatal("the bucket does not follow")
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
