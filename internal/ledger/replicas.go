package ledger

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// forgetAfter is how long the row of a dead replica is left for people to see.
const forgetAfter = time.Hour

// ErrNotListed says that a replica has not found itself among the live ones.
var ErrNotListed = errors.New("not listed among the live replicas")

// Replica is a daemon that lives.
type Replica struct {
	// Owner names it, as in [Terms].
	Owner string
	// Apps are those that it is configured for.
	Apps []uint32
}

// Replicas is the register of the daemons that share the apps. One goroutine at
// a time may use it.
type Replicas struct {
	pool *pgxpool.Pool
	self Replica
	ttl  time.Duration

	conn    *pgx.Conn // its own; nil before the first look
	session session   // of conn
	renewed time.Time // when the row was last renewed on conn; zero for not yet
}

// NewReplicas returns the register for one daemon. Its row lives for ttl, at
// least a second, and is renewed every third of that.
func NewReplicas(pool *pgxpool.Pool, self Replica, ttl time.Duration) *Replicas {
	return &Replicas{pool: pool, self: self, ttl: ttl}
}

// Sight is what one look has seen.
type Sight struct {
	// Live are the replicas that live, the one that looks among them, in no order.
	Live []Replica
	// Leases are those of every app that ever had one.
	Leases map[uint32]LeaseSight
}

// LeaseSight is how a lease looked.
type LeaseSight struct {
	// Owner holds it, or held it last if it has died; empty when it was released.
	Owner string
	// Takeable tells whether somebody else may take it.
	Takeable bool
	// Epoch is that of the newest lease.
	Epoch int64
}

// Takeable tells whether the lease of app may be taken; one that was never held
// may.
func (s Sight) Takeable(app uint32) bool {
	lease, exists := s.Leases[app]
	return !exists || lease.Takeable
}

// SetApps says which apps the replica is configured for from now on. The next look
// has the others see it.
func (r *Replicas) SetApps(apps []uint32) {
	if !slices.Equal(apps, r.self.Apps) {
		r.self.Apps, r.renewed = slices.Clone(apps), time.Time{}
	}
}

// Look sees to it that the replica is registered, and returns who lives and who
// holds what. After an error, which may be [ErrNotListed], nothing is known; the
// next look begins anew. A look takes a third of the TTL at most, or a second.
func (r *Replicas) Look(ctx context.Context) (Sight, error) {
	ctx, cancel := context.WithTimeout(ctx, max(silence, r.ttl/3))
	defer cancel()
	if err := r.register(ctx); err != nil {
		return Sight{}, fmt.Errorf("register replica %s: %w", r.self.Owner, err)
	}
	sight, err := r.read(ctx)
	if err != nil {
		return Sight{}, fmt.Errorf("read the replicas: %w", err)
	}
	for _, replica := range sight.Live {
		if replica.Owner == r.self.Owner {
			return sight, nil
		}
	}
	r.renewed = time.Time{}
	return Sight{}, fmt.Errorf("read the replicas: %s is %w", r.self.Owner, ErrNotListed)
}

// register makes or renews the row when that is due, on a connection that is
// good. Rows of replicas that died long ago are swept out on the way. A statement
// that was sent is waited for until the look's deadline, also when ctx ends
// before: given up, it might be carried out behind what [Replicas.Leave] does.
func (r *Replicas) register(ctx context.Context) error {
	if r.conn == nil || r.conn.IsClosed() {
		if err := r.join(ctx); err != nil {
			return err
		}
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	now := time.Now()
	if !r.renewed.IsZero() && now.Sub(r.renewed) < r.ttl/3 {
		return nil
	}
	deadline, _ := ctx.Deadline()
	sent, cancel := context.WithDeadline(context.WithoutCancel(ctx), deadline)
	defer cancel()
	_, err := r.conn.Exec(sent, `
		with forgotten as (
		    delete from replicas
		     where owner in (select owner
		                       from replicas
		                      where expires_at < clock_timestamp() - $6::interval and owner <> $1
		                        for update skip locked)
		)
		insert into replicas (owner, apps, expires_at, session_pid, session_start)
		values ($1, $2, clock_timestamp() + $3, $4, $5)
		on conflict (owner) do update
		   set apps = excluded.apps, expires_at = excluded.expires_at,
		       session_pid = excluded.session_pid, session_start = excluded.session_start`,
		r.self.Owner, r.self.Apps, r.ttl, r.session.pid, r.session.start, forgetAfter)
	if err != nil {
		return err
	}
	r.renewed = now
	return nil
}

// join opens the connection, which is not the pool's: that may be busy, and the
// row names its session.
func (r *Replicas) join(ctx context.Context) error {
	conn, err := pgx.ConnectConfig(ctx, r.pool.Config().ConnConfig)
	if err != nil {
		return err
	}
	s, err := sessionOf(ctx, conn)
	if err != nil {
		closeConn(conn)
		return err
	}
	r.conn, r.session, r.renewed = conn, s, time.Time{}
	return nil
}

// read reads the replicas and the leases in one statement, so that they belong to
// one moment. The columns of a replica's row are named like those of a lease: what
// lets somebody else take the one is what the other has died of.
func (r *Replicas) read(ctx context.Context) (Sight, error) {
	sight := Sight{Leases: map[uint32]LeaseSight{}}
	rows, err := r.conn.Query(ctx, `
		select owner, apps, 0::bigint as app_id, false as takeable, 0::bigint as epoch
		  from (select owner, apps,`+takeable+`
		          from replicas) r
		 where not (expired or gone)
		 union all
		select coalesce(owner, ''), null, app_id, free or expired or gone, epoch
		  from (select app_id, owner, epoch,`+takeable+`
		          from apps) a`)
	if err != nil {
		return Sight{}, err
	}
	var owner string
	var apps []uint32
	var app uint32
	var can bool
	var epoch int64
	_, err = pgx.ForEachRow(rows, []any{&owner, &apps, &app, &can, &epoch}, func() error {
		if app == 0 {
			sight.Live = append(sight.Live, Replica{owner, apps})
		} else {
			sight.Leases[app] = LeaseSight{owner, can, epoch}
		}
		apps = nil
		return nil
	})
	return sight, err
}

// Leave takes the replica off the register, so that the others need not wait
// until it has expired. The next look would put it there again. When the database
// does not answer, the error says so, and the row expires by itself.
func (r *Replicas) Leave(ctx context.Context) error {
	closeConn(r.conn)
	r.conn = nil
	ctx, cancel := context.WithTimeout(ctx, asideTimeout)
	defer cancel()
	if _, err := r.pool.Exec(ctx, `delete from replicas where owner = $1`, r.self.Owner); err != nil {
		return fmt.Errorf("take replica %s off the register: %w", r.self.Owner, err)
	}
	return nil
}
