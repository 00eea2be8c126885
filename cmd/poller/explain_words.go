package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// statusWords is a status, and in which way.
func statusWords(status, detail string) string {
	if detail == "" {
		return status
	}
	return status + " (" + strings.ReplaceAll(detail, "_", " ") + ")"
}

// answered says what a request brought.
func answered(a *daemonAnswer) string {
	switch {
	case a.Status != "":
		return "ZIM said " + statusWords(a.Status, a.Detail)
	case a.Missed != "":
		return "ZIM answered, and not about this user: " + a.Missed
	case a.Code != 0:
		return fmt.Sprintf("ZIM answered code %d, and nothing about anybody", a.Code)
	case a.Result == "0":
		return "ZIM told to ask again"
	}
	return "no answer: " + a.Result
}

func suppressedWhy(why string) string {
	switch why {
	case "hold":
		return "a later answer said again what is told"
	case "incident":
		return "so many were said to have gone at once that it was asked again, and was not confirmed"
	case "removed":
		return "the user left the watchlist"
	case "stale":
		return "there was no answer any more"
	}
	return why
}

// countWhys is how often each reason was.
func countWhys(all []daemonSuppressed) string {
	var parts []string
	for _, why := range []struct{ word, one, many string }{
		{"hold", "did not last for the hold", "did not last for the hold"},
		{"incident", "was of an incident", "were of an incident"},
		{"removed", "was of before it left the watchlist", "were of before it left the watchlist"},
		{"stale", "was of before it became stale", "were of before it became stale"},
	} {
		n := 0
		for i := range all {
			if all[i].Why == why.word {
				n++
			}
		}
		switch {
		case n == 1:
			parts = append(parts, "1 "+why.one)
		case n > 1:
			parts = append(parts, fmt.Sprintf("%d %s", n, why.many))
		}
	}
	return strings.Join(parts, ", ")
}

// codeText is the code of a request; the one that stands for data, and for no error, is explained.
func codeText(a *daemonAnswer) string {
	const noSession = 660200001
	switch {
	case a.Code == 0 && a.Result != "0":
		return "-"
	case a.Code == noSession && a.Result == "0":
		return fmt.Sprintf("%d (no session)", a.Code)
	}
	return strconv.FormatInt(a.Code, 10)
}

// brief is what a sweep was for the user.
func (s *explainSweep) brief() string {
	switch {
	case !s.Missed:
		return "answered"
	case s.Seen == 0:
		return "missed, as everybody"
	}
	return "missed"
}

func orNone(id string) string {
	if id == "" {
		return "without an id"
	}
	return id
}

func sinceText(since *time.Time) string {
	if since == nil {
		return ""
	}
	return " since " + micro(*since)
}

// upper is a text as it begins a sentence.
func upper(text string) string { return strings.ToUpper(text[:1]) + text[1:] }
