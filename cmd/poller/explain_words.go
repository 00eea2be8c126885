package main

import (
	"fmt"
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
	for _, why := range []string{"hold", "incident", "removed", "stale"} {
		n := 0
		for i := range all {
			if all[i].Why == why {
				n++
			}
		}
		if n > 0 {
			parts = append(parts, fmt.Sprintf("%s %d", why, n))
		}
	}
	return strings.Join(parts, ", ")
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
