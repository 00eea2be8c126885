package audit_test

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

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
		Events: int(c.number(`select count(*) from transitions`)), Snapshots: sweeps - 1, Users: crowd - 1, Entries: crowd - 1,
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
	return slices.Concat(ledgerDamages(), snapshotDamages(), stateDamages(), heldDamages(), streamDamages(), bucketDamages(), erasureDamages())
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
