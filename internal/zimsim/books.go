package zimsim

import (
	"strconv"
	"time"
)

// Stats is the book-keeping of one app since it was added.
type Stats struct {
	App            uint32            `json:"app"`
	Users          int               `json:"users"`           // in the population
	Rate           int               `json:"rate"`            // requests in a sliding second; negative is no limit
	Arrivals       uint64            `json:"arrivals"`        // requests that named this app, whatever became of them
	MostPerSecond  int               `json:"most_per_second"` // most arrivals in any half-open second
	SmallestGap    time.Duration     `json:"smallest_gap_ns"` // between successive arrivals; negative before the second one
	RepeatedNonces uint64            `json:"repeated_nonces"`
	IDs            uint64            `json:"ids"`      // user ids asked for, refused ones too
	Answers        uint64            `json:"answers"`  // requests that got data, faulty data included
	AllGone        uint64            `json:"all_gone"` // of these, with nobody in Result: everybody has logged out
	Refused        map[string]uint64 `json:"refused"`  // by code; "http 414" and the like where a page was answered
	Faults         map[string]uint64 `json:"faults"`   // strikes by kind
	Unread         uint64            `json:"unread"`   // requests cut off unread by kill_keepalive; not arrivals
	First          time.Time         `json:"first"`    // arrival; zero when there is none
	Last           time.Time         `json:"last"`
}

// books is what is written down about an app's requests. Guarded by its app's lock.
type books struct {
	arrivals arrivals
	nonces   nonces
	repeated uint64
	ids      uint64
	answers  uint64
	allGone  uint64
	unread   uint64
	refused  map[string]uint64
	faults   map[string]uint64
}

func newBooks(logLimit int) books {
	return books{arrivals: newArrivals(logLimit), refused: map[string]uint64{}, faults: map[string]uint64{}}
}

// arrival is what the booking of a request says about it.
type arrival struct {
	number   uint64 // from 1
	inSecond int    // arrivals in the second that ends with this one
	repeated bool   // its nonce was used before
}

func (b *books) book(at time.Duration, q *query) arrival {
	a := arrival{inSecond: b.arrivals.add(at), number: b.arrivals.total}
	b.ids += uint64(q.asked)
	if nonce, ok := q.nonce(); ok && b.nonces.seen(nonce, at) {
		a.repeated = true
		b.repeated++
	}
	return a
}

// label is the refusal's name in Stats.Refused.
func (r *refusal) label() string {
	if r.code == 0 {
		return "http " + strconv.Itoa(r.status)
	}
	return strconv.Itoa(r.code)
}
