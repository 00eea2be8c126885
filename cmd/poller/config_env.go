package main

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

const envPrefix = "POLLER_"

// environment makes a map of what os.Environ gives; the last of two equal names counts.
func environment(environ []string) map[string]string {
	env := make(map[string]string, len(environ))
	for _, entry := range environ {
		if name, value, ok := strings.Cut(entry, "="); ok {
			env[name] = value
		}
	}
	return env
}

// envName is the variable that overrides a key.
func envName(key string) string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(key, ".", "_"))
}

// overlayEnvironment overlays what the file said with the variables that are set, also those set to the empty string.
// The entries of apps have no variables of their own.
func (l *loading) overlayEnvironment() {
	known := []string{"POLLER_CONFIG"}
	for _, into := range leaves(l.cfg) {
		if strings.Contains(into.key, "[") {
			continue
		}
		name := envName(into.key)
		known = append(known, name)
		text, set := l.env[name]
		if !set {
			continue
		}
		l.cfg.origins[into.key] = origin{Env: name}
		err := into.set(text)
		if err == nil {
			err = l.checkValue(into)
		}
		if err != nil {
			l.wrong(into.key, "%v", err)
		}
	}
	l.findMisspelt(known)
}

// findMisspelt reports variables that are nearly one of ours. Others that happen to begin like ours are let be:
// Kubernetes sets a dozen for a service named poller.
func (l *loading) findMisspelt(known []string) {
	serviceLink := regexp.MustCompile(`_(SERVICE_HOST|SERVICE_PORT|PORT)(_.*)?$`)
	for _, name := range slices.Sorted(maps.Keys(l.env)) {
		switch {
		case !strings.HasPrefix(name, envPrefix), slices.Contains(known, name), serviceLink.MatchString(name):
		case strings.HasPrefix(name, "POLLER_APPS"):
			l.faults = append(l.faults, fault{Env: name, Message: "apps are listed in the file; the environment gives one app, as POLLER_ZIM_APP_ID"})
		default:
			if like := nearest(name, known); like != "" {
				l.faults = append(l.faults, fault{Env: name, Message: fmt.Sprintf("unknown variable: did you mean %s?", like)})
			}
		}
	}
}

// didYouMean proposes the nearest of some words, or nothing.
func didYouMean(word string, words []string) string {
	if like := nearest(word, words); like != "" {
		return fmt.Sprintf(": did you mean %s?", like)
	}
	return ""
}

// nearest is the word that is at most two slips of the finger away, or empty.
func nearest(word string, words []string) string {
	best, at := "", 3
	for _, w := range words {
		if d := editDistance(word, w); d < at && d < len(w) {
			best, at = w, d
		}
	}
	return best
}

// editDistance counts the letters to insert, drop, replace or swap with their neighbour between two words. Words that
// differ by more than two in length are simply far apart.
func editDistance(a, b string) int {
	if len(a)-len(b) > 2 || len(b)-len(a) > 2 {
		return 3
	}
	var before, above []int
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		before, above, row = above, row, make([]int, len(b)+1)
		row[0] = i
		for j := 1; j <= len(b); j++ {
			differ := 1
			if a[i-1] == b[j-1] {
				differ = 0
			}
			row[j] = min(above[j]+1, row[j-1]+1, above[j-1]+differ)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
	}
	return row[len(b)]
}
