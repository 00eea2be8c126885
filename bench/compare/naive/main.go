// Command naive is the poller that a good programmer writes in an hour, with good libraries: a rate limiter, cron, ten requests at
// a time, retries inside the limiter, a map of the last states, and a publish to NATS for each change. It is here to be measured
// beside the poller. NAIVE_ANNOUNCE makes it tell everybody's state at its start, NAIVE_RATE is
// how many requests a second it allows itself, 20 if not given.
package main

import (
	"context"
	"crypto/md5"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/nats-io/nats.go"
	"github.com/robfig/cron/v3"
	"golang.org/x/sync/errgroup"
	"golang.org/x/time/rate"
)

type poller struct {
	db      *pgxpool.Pool
	nc      *nats.Conn
	client  *http.Client
	limiter *rate.Limiter

	mu       sync.Mutex
	last     map[string]bool // whether online
	announce bool
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	db, err := pgxpool.New(ctx, os.Getenv("POLLER_DATABASE_URL"))
	if err != nil {
		log.Fatal(err)
	}
	nc, err := nats.Connect(os.Getenv("POLLER_NATS_URL"), nats.MaxReconnects(-1))
	if err != nil {
		log.Fatal(err)
	}
	perSecond := rate.Limit(20)
	if given, err := strconv.ParseFloat(os.Getenv("NAIVE_RATE"), 64); err == nil {
		perSecond = rate.Limit(given)
	}
	p := &poller{
		db: db, nc: nc, client: &http.Client{Timeout: 5 * time.Second}, limiter: rate.NewLimiter(perSecond, 1),
		last: map[string]bool{}, announce: os.Getenv("NAIVE_ANNOUNCE") != "",
	}
	p.sweep(ctx)
	c := cron.New(cron.WithChain(cron.SkipIfStillRunning(cron.DiscardLogger)))
	if _, err := c.AddFunc(os.Getenv("POLLER_SCHEDULE"), func() { p.sweep(ctx) }); err != nil {
		log.Fatal(err)
	}
	c.Start()
	<-ctx.Done()
	<-c.Stop().Done()
	if err := nc.Drain(); err != nil {
		log.Print(err)
	}
}

func (p *poller) sweep(ctx context.Context) {
	rows, err := p.db.Query(ctx, `select user_id from watched_users order by user_id`)
	if err != nil {
		log.Print(err)
		return
	}
	var users []string
	for rows.Next() {
		var id string
		if err := rows.Scan(&id); err != nil {
			log.Print(err)
			return
		}
		users = append(users, id)
	}
	if rows.Err() != nil {
		log.Print(rows.Err())
		return
	}
	var g errgroup.Group
	g.SetLimit(10)
	for len(users) > 0 {
		batch := users[:min(100, len(users))]
		users = users[len(batch):]
		g.Go(func() error {
			online, err := p.ask(ctx, batch)
			if err != nil {
				log.Print(err) // these keep their state until the next sweep
				return nil
			}
			for _, id := range batch {
				p.note(id, online[id])
			}
			return nil
		})
	}
	_ = g.Wait()
}

// ask asks up to four times.
func (p *poller) ask(ctx context.Context, batch []string) (online map[string]bool, err error) {
	for attempt := range 4 {
		if err := p.limiter.Wait(ctx); err != nil {
			return nil, err
		}
		if online, err = p.once(ctx, batch); err == nil {
			return online, nil
		}
		time.Sleep(100 * time.Millisecond << attempt)
	}
	return nil, err
}

func (p *poller) once(ctx context.Context, batch []string) (map[string]bool, error) {
	nonce := make([]byte, 8)
	_, _ = rand.Read(nonce)
	id, n, at := os.Getenv("POLLER_ZIM_APP_ID"), hex.EncodeToString(nonce), fmt.Sprint(time.Now().Unix())
	sum := md5.Sum([]byte(id + n + os.Getenv("POLLER_ZIM_SERVER_SECRET") + at))
	query := url.Values{
		"Action": {"QueryUserOnlineState"}, "AppId": {id}, "SignatureNonce": {n}, "Timestamp": {at},
		"Signature": {hex.EncodeToString(sum[:])}, "SignatureVersion": {"2.0"}, "UserId[]": batch,
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, os.Getenv("POLLER_ZIM_BASE_URL")+"/?"+query.Encode(), nil)
	if err != nil {
		return nil, err
	}
	response, err := p.client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("status %d", response.StatusCode)
	}
	var reply struct {
		Code      int
		Message   string
		Result    []struct{ UserId, Status string }
		ErrorList []struct{ UserId string }
	}
	if err := json.NewDecoder(response.Body).Decode(&reply); err != nil {
		return nil, err
	}
	if reply.Code != 0 && len(reply.ErrorList) == 0 {
		return nil, fmt.Errorf("code %d: %s", reply.Code, reply.Message)
	}
	online := map[string]bool{}
	for _, r := range reply.Result {
		online[r.UserId] = strings.EqualFold(r.Status, "online")
	}
	return online, nil
}

func (p *poller) note(id string, online bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	before, known := p.last[id]
	p.last[id] = online
	if known && before == online || !known && !p.announce {
		return
	}
	status := "offline"
	if online {
		status = "online"
	}
	text, _ := json.Marshal(map[string]any{"user": id, "status": status, "at": time.Now().UTC()})
	if err := p.nc.Publish("presence."+status, text); err != nil {
		log.Print(err)
	}
}
