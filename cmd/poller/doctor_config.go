package main

import (
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"github.com/zim-presence/poller/internal/poll"
)

// usualRate is what ZIM grants an app, if no contract says more.
const usualRate = 20

// configPath is the configuration file that is named; empty for none.
func (g *globals) configPath() string {
	if g.Config != "" {
		return g.Config
	}
	return environment(g.Environ)["POLLER_CONFIG"]
}

// configFaults are the faults of a configuration as findings. Nothing else can be tried then.
func configFaults(all faults) []*chart {
	c := newChart("configuration")
	for _, f := range all {
		c.fault("settings", "see configs/poller.yaml, or the manual of that key", "%s", f)
	}
	return []*chart{c}
}

// tryConfiguration looks at what is allowed and seldom meant. Its faults were told before.
func (d *doctor) tryConfiguration() *chart {
	c := newChart("configuration")
	from := "the environment alone"
	if d.path != "" {
		from = d.path
	}
	c.ok("settings", "%s; %s", from, plural(int64(len(d.cfg.Apps)), "app"))
	d.tryPlaces(c)
	d.tryListener(c)
	for _, a := range d.cfg.Apps {
		if secret := string(a.ServerSecret); len(secret) != 32 {
			c.warn("secret", "copy the ServerSecret of the app again; an AppSign, of 64, is another thing",
				"the secret of app %d has %s; ZIM's have 32", a.AppID, plural(int64(len(secret)), "character"))
		}
		if a.Rate > usualRate {
			c.warn("rate", "lower zim.rate, or keep it if your contract with ZIM allows so much",
				"app %d: %g requests a second, and ZIM usually allows %d", a.AppID, a.Rate, usualRate)
		}
	}
	d.trySchedules(c)
	return c
}

// tryPlaces says where the data is.
func (d *doctor) tryPlaces(c *chart) {
	if d.cfg.Database.URL == "" {
		c.warn("database.url", "set database.url (POLLER_DATABASE_URL) to a Postgres that is backed up",
			"not set: the embedded Postgres under %s is for a first day, or a small shop", d.cfg.DataDir)
	} else {
		c.ok("database.url", "%s", d.cfg.Database.URL)
	}
	if d.cfg.NATS.URL == "" {
		c.warn("nats.url", "set nats.url (POLLER_NATS_URL) to a NATS of its own",
			"not set: the embedded NATS at %s asks nobody for a password", d.cfg.NATS.Listen)
	} else {
		c.ok("nats.url", "%s", d.cfg.NATS.URL)
	}
}

// tryListener looks at who reaches the page and the probes.
func (d *doctor) tryListener(c *chart) {
	host, _, err := net.SplitHostPort(d.cfg.HTTP.Listen)
	ip := net.ParseIP(host)
	switch {
	case d.cfg.HTTP.Listen == "":
		c.warn("http.listen", "set http.listen (POLLER_HTTP_LISTEN)", "empty: no status page, no metrics, no probes")
	case err == nil && (host == "" || ip != nil && ip.IsUnspecified()):
		c.warn("http.listen", "name one address, or see to it that only your own systems reach it",
			"%s: on every address, and there is no password", d.cfg.HTTP.Listen)
	default:
		c.ok("http.listen", "%s", d.cfg.HTTP.Listen)
	}
}

// trySchedules says when sweeps are due, and whether somebody may have meant another time zone.
func (d *doctor) trySchedules(c *chart) {
	for _, a := range d.cfg.Apps {
		schedule, err := poll.ParseSchedule(a.Schedule)
		if err != nil {
			c.fault("schedule", "see schedule in configs/poller.yaml", "app %d: %v", a.AppID, err)
			continue
		}
		now := time.Now()
		next := schedule.Next(now)
		text := fmt.Sprintf("app %d: %s, next %s", a.AppID, a.Schedule, next.UTC().Format(time.RFC3339))
		zone, ahead := now.Zone()
		if fixedHour(a.Schedule) && ahead != 0 {
			c.warn("schedule", "begin it with CRON_TZ= and the name of a zone, such as CRON_TZ=Europe/Berlin; CRON_TZ=UTC if UTC is meant",
				"%s: its hours are UTC, and this machine is in %s", text, zone)
			continue
		}
		c.ok("schedule", "%s", text)
	}
}

// fixedHour tells whether a schedule names hours and no zone.
func fixedHour(spec string) bool {
	fields := strings.Fields(spec)
	switch {
	case strings.HasPrefix(spec, "CRON_TZ="):
		return false
	case len(fields) == 5:
		return fields[1] != "*"
	case len(fields) == 6:
		return fields[2] != "*"
	}
	return spec == "@daily" || spec == "@midnight" || spec == "@weekly" || spec == "@monthly" || spec == "@yearly" || spec == "@annually"
}

// exists tells whether there is such a file or directory.
func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
