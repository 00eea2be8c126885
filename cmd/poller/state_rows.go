package main

import (
	"iter"

	"github.com/zim-presence/poller/presence"
)

// userState is one user's row.
type userState struct {
	no     uint32
	id     string // "" of who was erased
	status presence.Status
}

// all yields the rows that were asked for, those without a name included.
func (r *reading) all() iter.Seq[userState] {
	if len(r.chosen) > 0 {
		return r.allChosen()
	}
	return func(yield func(userState) bool) {
		for no, status := range r.state.Users() {
			if r.online && status != presence.Online {
				continue
			}
			if !yield(userState{no: no, id: r.names.of(no), status: status}) {
				return
			}
		}
	}
}

func (r *reading) allChosen() iter.Seq[userState] {
	return func(yield func(userState) bool) {
		told := map[string]bool{}
		for _, id := range r.chosen {
			row := userState{id: id}
			if no, known := r.numbers[id]; known {
				row.no, row.status = no, r.state.Status(no)
			}
			if told[id] || r.online && row.status != presence.Online {
				continue
			}
			told[id] = true
			if !yield(row) {
				return
			}
		}
	}
}

// rows yields those with a name.
func (r *reading) rows() iter.Seq[userState] {
	return func(yield func(userState) bool) {
		for row := range r.all() {
			if row.id != "" && !yield(row) {
				return
			}
		}
	}
}

// stateCounts counts the rows that were asked for. What was not asked for is nil.
type stateCounts struct {
	Online  int  `json:"online"`
	Offline *int `json:"offline,omitempty"`
	Unknown *int `json:"unknown,omitempty"` // of who was given by name
	Erased  int  `json:"erased"`            // online or offline in the snapshot, and in no other count: the name is gone
}

func (r *reading) count() {
	c, offline, unknown := &r.counts, 0, 0
	for row := range r.all() {
		switch {
		case row.id == "":
			c.Erased++
		case row.status == presence.Online:
			c.Online++
		case row.status == presence.Offline:
			offline++
		default:
			unknown++
		}
	}
	if !r.online {
		c.Offline = &offline
	}
	if !r.online && len(r.chosen) > 0 {
		c.Unknown = &unknown
	}
}

// roster is the ids of users by number, in pages: numbers are dense, and may begin high.
type roster struct{ pages [][]string }

const rosterPage = 4096

func (r *roster) put(no uint32, id []byte) {
	page := int(no / rosterPage)
	if page >= len(r.pages) {
		r.pages = append(r.pages, make([][]string, page+1-len(r.pages))...)
	}
	if r.pages[page] == nil {
		r.pages[page] = make([]string, rosterPage)
	}
	r.pages[page][no%rosterPage] = string(id)
}

// of returns the id of a user, "" for none.
func (r *roster) of(no uint32) string {
	if page := int(no / rosterPage); page < len(r.pages) && r.pages[page] != nil {
		return r.pages[page][no%rosterPage]
	}
	return ""
}
