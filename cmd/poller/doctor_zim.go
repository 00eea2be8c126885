package main

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/rs/zerolog"

	"github.com/zim-presence/poller/internal/budget"
	"github.com/zim-presence/poller/internal/ledger"
	"github.com/zim-presence/poller/internal/zim"
)

// tryZIM tries what spends nothing: the signature, and the way to each address that is configured.
func (d *doctor) tryZIM(ctx context.Context, c *chart) {
	if zim.SignsRight() {
		c.ok("signature", "as ZIM's official vector says")
	} else {
		c.fault("signature", "report it: this program was built wrongly", "not as ZIM's official vector says")
	}
	var urls []string
	for _, a := range d.cfg.Apps {
		if !slices.Contains(urls, a.BaseURL) {
			urls = append(urls, a.BaseURL)
		}
	}
	ways, reached := make([]*chart, len(urls)), make([]bool, len(urls))
	trials := make([]func(), len(urls))
	for i, base := range urls {
		ways[i] = c.apart()
		trials[i] = func() { reached[i] = d.tryWay(ctx, base, ways[i]) }
	}
	abreast(trials...)
	c.join(ways...)
	for i, base := range urls {
		d.routes[base] = reached[i]
	}
}

// tryWay goes the way to one address, without a request.
func (d *doctor) tryWay(ctx context.Context, base string, c *chart) (reached bool) {
	// The trial's own end comes first, and says that it was one.
	client, err := zim.New(zim.Config{BaseURL: base, AppID: 1, Rate: 1, BatchSize: 1, Timeout: 2 * d.timeout, Log: zerolog.Nop()})
	if err != nil {
		c.fault("dns", "correct zim.base_url", "%v", err)
		return false
	}
	defer client.Close()
	ctx, cancel := d.within(ctx)
	defer cancel()
	r := client.Trace(ctx)
	target, err := url.Parse(base)
	if err != nil {
		return false // zim.New would have said it
	}
	if r.Proxy != nil {
		c.ok("proxy", "%s, as HTTPS_PROXY or HTTP_PROXY says", r.Proxy)
	}
	stages := []zim.Stage{zim.StageName, zim.StageConnect}
	if r.Proxy != nil {
		stages = append(stages, zim.StageTunnel)
	}
	if target.Scheme == "https" {
		stages = append(stages, zim.StageTLS)
	}
	for i, stage := range stages {
		if stage == r.Failed {
			c.fault(stageName(stage), d.wayMend(stage, r), "%s: %s", target.Host, inShort(r.Err))
			for _, later := range stages[i+1:] {
				c.untried(stageName(later), "it did not come to that")
			}
			return false
		}
		d.tellStage(c, stage, target, r)
	}
	if target.Scheme != "https" && !loopback(r.Address) {
		c.warn("tls", "begin zim.base_url with https://", "%s is asked in the clear: whoever listens can sign as this app for minutes", target.Host)
	}
	return r.Err == nil
}

func stageName(s zim.Stage) string {
	return map[zim.Stage]string{zim.StageName: "dns", zim.StageConnect: "tcp", zim.StageTunnel: "tunnel", zim.StageTLS: "tls"}[s]
}

func loopback(addr string) bool {
	host := strings.Trim(strings.TrimSuffix(addr, addr[strings.LastIndexByte(addr, ':')+1:]), ":[]")
	return host == "::1" || strings.HasPrefix(host, "127.")
}

// leastCertificate is how long the certificate of ZIM lasts at least, before it is said.
const leastCertificate = 7 * day

func (d *doctor) tellStage(c *chart, s zim.Stage, target *url.URL, r zim.Route) {
	took := r.Took[s].Round(100 * time.Microsecond)
	switch s {
	case zim.StageName:
		if len(r.Addresses) > 0 {
			c.ok("dns", "%s is %s, in %s", target.Hostname(), strings.Join(r.Addresses, ", "), took)
		} else {
			c.ok("dns", "%s is an address", target.Hostname())
		}
	case zim.StageConnect:
		c.ok("tcp", "%s, in %s", r.Address, took)
	case zim.StageTunnel:
		c.ok("tunnel", "%s, in %s", target.Host, took)
	case zim.StageTLS:
		left := time.Until(r.Until)
		if left < leastCertificate {
			c.warn("tls", "none here: ZIM, or what stands between, has to renew it", "%s; the server's certificate ends in %s", r.TLS, shortly(left))
		} else {
			c.ok("tls", "%s, in %s; the certificate ends %s", r.TLS, took, r.Until.UTC().Format(time.DateOnly))
		}
	}
}

func (d *doctor) wayMend(s zim.Stage, r zim.Route) string {
	switch {
	case s == zim.StageTunnel:
		return fmt.Sprintf("have the proxy %s let CONNECT through, or take ZIM out with NO_PROXY", r.Proxy.Host)
	case r.Proxy != nil && s != zim.StageTLS:
		return "correct HTTPS_PROXY, or take ZIM out with NO_PROXY"
	}
	if mend := reachMend(r.Err, "zim.base_url"); mend != "" {
		return mend
	}
	return "look at zim.base_url (POLLER_ZIM_BASE_URL), and at what stands between"
}

// nobody is asked about where the watchlist is empty; it need not exist.
const nobody = "poller-doctor"

func queryChecks() []string { return []string{"query", "clock"} }

// tryQuery asks ZIM once about one user, where nobody else spends the app's budget.
func (d *doctor) tryQuery(ctx context.Context, a appConfig, c *chart, s ledger.Standing, known bool) {
	switch {
	case !d.routes[a.BaseURL]:
		c.allUntried("ZIM was not reached", queryChecks()...)
	case known && s.Held():
		d.queriedBy(c, s.Owner, s)
	case known && len(s.Replicas) > 0:
		d.queriedBy(c, strings.Join(s.Replicas, ", "), s)
	case known:
		d.queryLeased(ctx, a, c)
	case d.database.bare && a.Rate >= 1:
		d.queryBare(ctx, a, c)
	case d.database.bare:
		c.allUntried("at less than a request a second each has to be noted, and "+d.database.why, queryChecks()...)
	default:
		c.allUntried("whether a daemon spends the app's budget cannot be seen: "+d.database.why, queryChecks()...)
	}
}

// queriedBy says what the holder's own queries brought: the budget is the holder's. That is not called well, since the
// secret that is given here may be another than the holder's, and the holder's refused by now.
func (d *doctor) queriedBy(c *chart, owner string, s ledger.Standing) {
	brought := "no sweep has reached anybody yet"
	if s.Sweep > 0 && s.Seen > 0 {
		brought = fmt.Sprintf("sweep %d reached %s %s ago", s.Sweep, usersText(s.Seen), shortly(s.Ago))
	}
	c.untried("query", "left to %s, which has the app's budget: %s; the ServerSecret given here was not tried", owner, brought)
	if ahead, known := d.skews[c.app]; known {
		judgeClock(c, ahead)
	} else {
		c.untried("clock", "the daemon that polls the app has it as poller_zim_clock_skew_seconds")
	}
}

// mostWait is how long the budget is waited for at least, however short a trial may be: a second is usual.
const mostWait = 3 * time.Second

// queryLeased asks under the app's lease, which notes when the budget is free again.
func (d *doctor) queryLeased(ctx context.Context, a appConfig, c *chart) {
	book := ledger.New(d.database.pool(), a.AppID, zerolog.Nop())
	var lease *ledger.Lease
	limiter := budget.New(a.Rate, func(ctx context.Context) error { return lease.Allow(ctx) })
	took, cancel := d.within(ctx)
	defer cancel()
	lease, err := book.TryAcquire(took, ledger.Terms{Owner: owner(), TTL: d.cfg.Lease.TTL, Window: limiter.Window()})
	if err != nil {
		c.allUntried("the app's lease was not to be had: "+inShort(errOf(took, err)), queryChecks()...)
		return
	}
	defer func() {
		if err := lease.Release(context.WithoutCancel(ctx), limiter.FreeAt()); err != nil {
			c.warn("lease", "none: it expires by itself", "not given back: %s", inShort(err))
		}
	}()
	limiter.Pause(lease.NotBefore())
	if wait := time.Until(lease.NotBefore()); wait > max(d.timeout, mostWait) {
		c.allUntried("the app's budget is not free for another "+shortly(wait), queryChecks()...)
		return
	}
	d.query(ctx, a, c, limiter, lease.Good)
}

// queryBare asks where no daemon can be, since there are no tables: nobody is on any watchlist. The next program may
// begin at once, so this one ends only when the second of its request is over.
func (d *doctor) queryBare(ctx context.Context, a appConfig, c *chart) {
	limiter := budget.New(a.Rate, nil)
	d.query(ctx, a, c, limiter, nil)
	if free := limiter.FreeAt(); !free.IsZero() {
		<-time.After(time.Until(free))
	}
}

func (d *doctor) query(ctx context.Context, a appConfig, c *chart, limiter *budget.Limiter, allowed func() bool) {
	client, err := zim.New(zim.Config{
		BaseURL: a.BaseURL, AppID: a.AppID, Secret: string(a.ServerSecret), Rate: a.Rate, BatchSize: 1,
		Timeout: min(d.timeout, a.Timeout), Budget: limiter, Allowed: allowed, Log: zerolog.Nop(),
	})
	if err != nil {
		c.allUntried(err.Error(), queryChecks()...)
		return
	}
	defer client.Close()
	user := d.users[a.AppID].one
	who := "one watched user"
	if user == "" {
		user, who = nobody, "a user who need not exist"
	}
	// A wait for the slot, a connection, and the request, which has its own end.
	most := max(d.timeout, mostWait) + 3*d.timeout
	ctx, cancel := context.WithTimeoutCause(ctx, most, noAnswerError{most})
	defer cancel()
	tried, err := client.Try(ctx, user)
	if err != nil {
		c.allUntried("not sent: "+inShort(err), queryChecks()...)
		return
	}
	judgeQuery(c, who, tried)
}

func judgeQuery(c *chart, who string, t zim.Tried) {
	request := ""
	if t.RequestID != "" {
		request = ", request " + t.RequestID
	}
	if t.Err != nil {
		c.fault("query", t.Mend, "%s%s", inShort(t.Err), request)
	} else {
		c.ok("query", "%s: %s, in %s%s", who, answerText(t), t.Elapsed.Round(time.Millisecond), request)
	}
	if t.Dated {
		judgeClock(c, t.Ahead)
	} else {
		c.untried("clock", "no answer says what ZIM's shows")
	}
}

// judgeClock judges how far this machine's clock is ahead of ZIM's.
func judgeClock(c *chart, ahead time.Duration) {
	const mend = "set this machine's clock, by NTP"
	switch {
	case ahead.Abs() >= zim.SkewRefused:
		c.fault("clock", mend, "this machine's is %s ZIM's: from ten minutes on it refuses every request", aheadText(ahead))
	case ahead.Abs() > zim.SkewAlarm:
		c.warn("clock", mend, "this machine's is %s ZIM's", aheadText(ahead))
	default:
		c.ok("clock", "agrees with ZIM's to about a second")
	}
}

// answerText is what the code of a good answer means.
func answerText(t zim.Tried) string {
	switch {
	case t.Code == 0:
		return "code 0"
	case len(t.Observations) > 0:
		return fmt.Sprintf("code %d (no session), which is an answer", t.Code)
	}
	return fmt.Sprintf("code %d", t.Code)
}
