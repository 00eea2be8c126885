package main

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"net"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// checkValue says what is wrong with one value by itself. Its errors never repeat the value of a secret. Values that
// were given are checked, defaults are not.
func (l *loading) checkValue(v leaf) error {
	switch p := v.ptr.(type) {
	case *bool:
		return nil
	case *secret:
		return checkSecret(string(*p))
	case *address:
		if v.key == "database.url" {
			return checkDSN(string(*p))
		}
		return checkServers(string(*p))
	case *string:
		return l.checkText(v.key, *p)
	case *names:
		return checkHosts(*p)
	case *uint32:
		return within(*p, 1, math.MaxUint32, "")
	case *int:
		return checkCount(v.key, *p)
	case *float64:
		return checkNumber(v.key, *p)
	case *time.Duration:
		return checkDuration(v.key, *p)
	}
	return fmt.Errorf("has no rule")
}

// The rates that make sense: a request in a quarter of an hour, and more than any contract allows.
const (
	minRate = 0.001
	maxRate = 100_000
)

func (l *loading) checkText(key, text string) error {
	switch settingOf(key) {
	case "data_dir":
		if text == "" {
			return errors.New("must name a directory")
		}
	case "zim.base_url":
		return checkBaseURL(text)
	case "schedule":
		if text == "" {
			return errors.New("must be a cron line or @every")
		}
		if l.parseSchedule != nil {
			return l.checkSchedule(text)
		}
	case "nats.listen":
		return checkListen(text)
	case "http.listen", "callback.listen":
		if text != "" {
			return checkListen(text)
		}
	case "log.level":
		return oneOf(text, "trace", "debug", "info", "warn", "error", "fatal", "panic", "disabled")
	case "log.format":
		return oneOf(text, "json", "console")
	}
	return nil
}

// checkSchedule leaves out the words by which the error names the schedule: the fault names it already. What it repeats
// of the schedule may be a secret in the wrong place.
func (l *loading) checkSchedule(text string) error {
	err := l.parseSchedule(text)
	if err == nil {
		return nil
	}
	return errors.New(maskWords(strings.TrimPrefix(err.Error(), fmt.Sprintf("schedule %q: ", text))))
}

func checkCount(key string, n int) error {
	if settingOf(key) == "zim.batch_size" {
		return within(n, 1, 100, "")
	}
	return within(n, 1, 5, "") // nats.replicas
}

func checkNumber(key string, n float64) error {
	if key == "plausibility.max_offline_share" {
		if n < 0 || n >= 1 {
			return errors.New("must be 0 for off, or a share over 0 and under 1, such as 0.3")
		}
		return nil
	}
	return within(n, minRate, maxRate, " requests a second") // zim.rate
}

func checkDuration(key string, d time.Duration) error {
	switch settingOf(key) {
	case "zim.timeout":
		return between(d, 100*time.Millisecond, time.Minute)
	case "stale_after":
		if d == 0 {
			return nil
		}
		return offOr(between(d, 10*time.Second, 365*day))
	case "hold.offline", "hold.online":
		return between(d, 0, time.Hour)
	case "plausibility.patience":
		return between(d, time.Second, 10*time.Minute)
	case "lease.ttl":
		return between(d, 2*time.Second, 10*time.Minute)
	case "stream.max_age":
		return between(d, time.Hour, 3650*day)
	}
	return between(d, day, 3650*day) // retention.*
}

func within[T cmp.Ordered](v, least, most T, unit string) error {
	if v < least || v > most {
		return fmt.Errorf("must be from %v to %v%s", least, most, unit)
	}
	return nil
}

func between(d, least, most time.Duration) error {
	if d < least || d > most {
		return fmt.Errorf("must be from %s to %s", formatDuration(least), formatDuration(most))
	}
	return nil
}

// offOr adds to the error of a value that may also be 0 what that means.
func offOr(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%w, or 0 for off", err)
}

func oneOf(text string, words ...string) error {
	if slices.Contains(words, text) {
		return nil
	}
	return fmt.Errorf("must be one of %s%s", strings.Join(words, ", "), didYouMean(text, words))
}

func checkSecret(text string) error {
	if strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r == 0x7f }) {
		return errors.New("must not contain white space")
	}
	return nil
}

func checkDSN(text string) error {
	if text == "" {
		return nil
	}
	// The library's error may hold a part of a password that it took for something else.
	if _, err := poolConfig(text); err != nil {
		return errors.New("is not a Postgres URL (postgres://user:password@host:5432/database) or key=value string, " +
			"has an option of no use, or names a file that cannot be read; in a URL, / ? # @ and % in a password are written %2F %3F %23 %40 %25")
	}
	return nil
}

func checkServers(list string) error {
	if list == "" {
		return nil
	}
	for i, server := range strings.Split(list, ",") {
		server = strings.TrimSpace(server)
		if !strings.Contains(server, "://") {
			server = "nats://" + server
		}
		u, err := url.Parse(server)
		if err != nil || u.Hostname() == "" || !slices.Contains([]string{"nats", "tls", "ws", "wss"}, u.Scheme) || !goodPort(u.Port(), true) {
			return fmt.Errorf("server %d of the list is not nats://host:4222, tls://, ws:// or wss://", i+1)
		}
	}
	return nil
}

func checkBaseURL(text string) error {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || !goodPort(u.Port(), true):
		return errors.New("must be an absolute URL, http://host or https://host")
	case u.User != nil:
		return errors.New("must not hold a user or password")
	case u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return errors.New("must end before any ? or #")
	}
	return nil
}

// checkHosts refuses what no browser sends as the name of a host.
func checkHosts(list names) error {
	for _, name := range list {
		if !hostName.MatchString(name) || len(name) > 253 {
			return errors.New("must be names of hosts, such as poller.example.com: without a port, a scheme or a *")
		}
	}
	return nil
}

var hostName = regexp.MustCompile(`^[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?(\.[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?)*\.?$`)

func checkListen(text string) error {
	_, port, err := net.SplitHostPort(text)
	if err != nil || !goodPort(port, false) {
		return errors.New("must be host:port with a port from 0 to 65535, such as 127.0.0.1:8080 or :8080")
	}
	return nil
}

// goodPort says whether text is a port, or may be left out.
func goodPort(text string, optional bool) bool {
	if text == "" {
		return optional
	}
	n, err := strconv.ParseUint(text, 10, 16)
	return err == nil && !(optional && n == 0)
}
