package main

import (
	"net"
	"os"
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
	if _, port, err := net.SplitHostPort(c.HTTP.Listen); err == nil && port != "0" && c.NATS.URL == "" && c.NATS.Listen == c.HTTP.Listen {
		l.wrong(l.givenOf("http.listen", "nats.listen"), "http.listen and nats.listen are the same address")
	}
}

// checkRetention holds that the ledger outlives the stream: what a stream still has must be found in the ledger, to
// verify it and to tell it again.
func (l *loading) checkRetention() {
	c := l.cfg
	if l.faulty("stream.max_age", "retention.transitions", "retention.snapshots") {
		return
	}
	if c.Retention.Transitions < c.Stream.MaxAge {
		l.wrong(l.givenOf("retention.transitions", "stream.max_age"), "retention.transitions (%s) must not be shorter than stream.max_age (%s)",
			formatDuration(c.Retention.Transitions), formatDuration(c.Stream.MaxAge))
	}
	if c.Retention.Snapshots < c.Retention.Transitions {
		l.wrong(l.givenOf("retention.snapshots", "retention.transitions"), "retention.snapshots (%s) must not be shorter than retention.transitions (%s): transitions follow on a snapshot",
			formatDuration(c.Retention.Snapshots), formatDuration(c.Retention.Transitions))
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
