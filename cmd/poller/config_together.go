package main

import (
	"net"
	"os"
	"slices"
	"time"
)

// checkTogether finds values that are good alone and not beside each other, and files that are not there.
func (l *loading) checkTogether() {
	c := l.cfg
	switch {
	case c.NATS.TLS.Cert != "" && c.NATS.TLS.Key == "":
		l.wrong("nats.tls.cert", "needs nats.tls.key beside it")
	case c.NATS.TLS.Cert == "" && c.NATS.TLS.Key != "":
		l.wrong("nats.tls.key", "needs nats.tls.cert beside it")
	}
	if c.NATS.URL != "" && l.needs&needNATS != 0 {
		l.readable("nats.creds", c.NATS.Creds)
		l.readable("nats.tls.ca", c.NATS.TLS.CA)
		l.readable("nats.tls.cert", c.NATS.TLS.Cert)
		l.readable("nats.tls.key", c.NATS.TLS.Key)
	}
	l.checkRetention()
	l.checkStale()
	l.checkCallbacks()
	if _, port, err := net.SplitHostPort(c.HTTP.Listen); err == nil && port != "0" && c.NATS.URL == "" && c.NATS.Listen == c.HTTP.Listen {
		key, other := "http.listen", "nats.listen"
		if l.givenOf(key, other) == other {
			key, other = other, key
		}
		l.wrong(key, "is the same address as %s", other)
	}
}

// checkCallbacks holds that whoever listens for callbacks can tell them from forged ones.
func (l *loading) checkCallbacks() {
	c := l.cfg
	if c.Callback.Listen == "" || l.faulty("callback.listen") {
		return
	}
	if _, port, err := net.SplitHostPort(c.Callback.Listen); err == nil && port != "0" {
		for _, other := range []struct{ key, listen string }{{"http.listen", c.HTTP.Listen}, {"nats.listen", c.NATS.Listen}} {
			if other.listen == c.Callback.Listen && (other.key != "nats.listen" || c.NATS.URL == "") {
				l.wrong("callback.listen", "is the same address as %s", other.key)
			}
		}
	}
	signs := func(a appConfig) bool { return a.CallbackSecret != "" }
	if l.needs&needSecrets != 0 && len(c.Apps) > 0 && len(l.faults) == 0 && !slices.ContainsFunc(c.Apps, signs) {
		l.wrong("callback.listen", "no app has a callback secret: nothing could be told from what is forged. Give it as zim.callback_secret "+
			"(POLLER_ZIM_CALLBACK_SECRET), as a file, or in the entries of apps")
	}
}

// shorten keeps the defaults of the ages of snapshots in order: whoever keeps less of the long run need not say so of each.
func (l *loading) shorten() {
	keep := &l.cfg.Retention
	if !l.given("retention.hourly") {
		keep.Hourly = min(keep.Hourly, keep.Snapshots)
	}
	if !l.given("retention.every_sweep") {
		keep.EverySweep = min(keep.EverySweep, keep.Hourly)
	}
}

// checkRetention holds that the ledger outlives the stream: what a stream still has must be found in the ledger, to
// verify it and to tell it again. The ages of snapshots ascend.
func (l *loading) checkRetention() {
	c, keep := l.cfg, l.cfg.Retention
	if l.faulty("stream.max_age", "retention.transitions", "retention.every_sweep", "retention.hourly", "retention.snapshots") {
		return
	}
	l.checkOutlives("retention.transitions", keep.Transitions, "stream.max_age", c.Stream.MaxAge, "")
	l.checkOutlives("retention.snapshots", keep.Snapshots, "retention.transitions", keep.Transitions, ": transitions follow on a snapshot")
	l.checkOutlives("retention.hourly", keep.Hourly, "retention.every_sweep", keep.EverySweep, "")
	l.checkOutlives("retention.snapshots", keep.Snapshots, "retention.hourly", keep.Hourly, "")
}

// checkStale holds that nobody goes stale while it is still found out whether they changed: what is held back would be
// dropped each time before it could be told.
func (l *loading) checkStale() {
	c := l.cfg
	if c.StaleAfter == 0 || l.faulty("stale_after", "hold.offline", "hold.online", "plausibility.patience") {
		return
	}
	l.checkOutlives("stale_after", c.StaleAfter, "hold.offline", c.Hold.Offline, "")
	l.checkOutlives("stale_after", c.StaleAfter, "hold.online", c.Hold.Online, "")
	if c.Plausibility.MaxOfflineShare > 0 {
		l.checkOutlivesPatience()
	}
}

// besidesPatience is what an incident takes besides its patience: the seconds in which it is counted whether it is one,
// the last question, and a moment to ask everybody else.
const besidesPatience = 15 * time.Second

// checkOutlivesPatience holds that an incident alone makes nobody stale.
func (l *loading) checkOutlivesPatience() {
	after, patience := l.cfg.StaleAfter, l.cfg.Plausibility.Patience
	if after < patience+besidesPatience {
		l.wrong(l.givenOf("stale_after", "plausibility.patience"), "%s is shorter than plausibility.patience (%s) and %s: a sweep waits while it is found out whether many have gone, "+
			"and nobody else is asked about meanwhile", formatDuration(after), formatDuration(patience), formatDuration(besidesPatience))
	}
}

// checkOutlives reports a duration that is shorter than the one it must outlive, at whichever of the two was given.
func (l *loading) checkOutlives(longKey string, long time.Duration, shortKey string, short time.Duration, why string) {
	switch {
	case long >= short:
	case l.givenOf(longKey, shortKey) == longKey:
		l.wrong(longKey, "%s is shorter than %s (%s)%s", formatDuration(long), shortKey, formatDuration(short), why)
	default:
		l.wrong(shortKey, "%s is longer than %s (%s)%s", formatDuration(short), longKey, formatDuration(long), why)
	}
}

// readable reports a file that is named and cannot be read.
func (l *loading) readable(key, path string) {
	if path == "" {
		return
	}
	f, err := os.Open(path)
	if err != nil {
		l.wrong(key, "%s: %v", path, bareError(err))
		return
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && info.IsDir() {
		l.wrong(key, "%s: is a directory", path)
	}
}

// givenOf is the first of the keys that was given, or the first.
func (l *loading) givenOf(keys ...string) string {
	for _, key := range keys {
		if l.given(key) {
			return key
		}
	}
	return keys[0]
}

// faulty says whether any of the keys has a fault already.
func (l *loading) faulty(keys ...string) bool {
	for _, key := range keys {
		for _, f := range l.faults {
			if f.Key == key {
				return true
			}
		}
	}
	return false
}
