package main

import (
	"fmt"
	"io"
	"iter"
	"strings"

	"github.com/zim-presence/poller/internal/watchlist"
	"github.com/zim-presence/poller/presence"
)

// edgeSpace says whether an id begins or ends with a space: that is legal, and mostly a slip of whoever made the list.
func edgeSpace(id string) bool { return strings.HasPrefix(id, " ") || strings.HasSuffix(id, " ") }

// spacedIDs counts the valid ids of a source that begin or end with a space.
type spacedIDs struct {
	count int
	first watchlist.Entry
}

// watch returns the source unchanged, counting what is read of it.
func (s *spacedIDs) watch(source iter.Seq2[watchlist.Entry, error]) iter.Seq2[watchlist.Entry, error] {
	return func(yield func(watchlist.Entry, error) bool) {
		for entry, err := range source {
			if err == nil && edgeSpace(entry.ID) && presence.CheckUserID(entry.ID) == nil {
				if s.count == 0 {
					s.first = entry
				}
				s.count++
			}
			if !yield(entry, err) {
				return
			}
		}
	}
}

// warn speaks of them if there were any.
func (s *spacedIDs) warn(w io.Writer) {
	if s.count > 0 {
		fmt.Fprintf(w, "warning: ids that begin or end with a space: %d, taken as they are; the first is %q in line %d\n",
			s.count, s.first.ID, s.first.Line)
	}
}
