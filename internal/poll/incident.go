package poll

import (
	"time"

	"github.com/zim-presence/poller/presence"
)

const (
	// sampleAtMost and canariesAtMost bound whom an incident asks about again: both
	// together are one batch.
	sampleAtMost, canariesAtMost = 50, 50
	// firstPause is between the first two rounds of asking again; it doubles, up to
	// longestPause.
	firstPause, longestPause = 2 * time.Second, 8 * time.Second
	// lastWait is how long the last round, which begins when patience is over, may take.
	lastWait = 10 * time.Second
)

// Incident is that so many users were said to have gone at once that a sample was
// asked about again before anything was told.
type Incident struct {
	// Number counts the incidents of a term, from 1.
	Number int
	// Began is when the first answer came that was suspicious, Ended when it was
	// decided; zero before. Both are whole microseconds.
	Began, Ended time.Time
	// Released says that they had gone indeed, and are told so. Otherwise what was
	// answered is discarded.
	Released bool
	// Flips is how many users of the window's answers were told online and said to be
	// offline, Share their share of those told online. Decided is how many users the
	// decision was about: fewer where some came back, more where others joined.
	Flips   int
	Share   float64
	Decided int
	// Rounds is how often was asked again. The other figures are of the newest round,
	// by which it was decided: how many of the users who had flipped were asked and
	// answered, and were offline; and the same of users who were known to be online.
	Rounds                                           int
	SampleAsked, SampleAnswered, SampleOffline       int
	CanariesAsked, CanariesAnswered, CanariesOffline int
}

// incident is one that is not decided yet: rounds of asking again a sample of the
// flips, and users known to be online, canaries, by whom one can tell a ZIM that
// calls everybody offline.
//
//	fewer than half of the sample answered          ─→ no evidence: ask again
//	sample offline < 50 %                           ─→ discarded
//	sample offline ≥ 75 %, canaries' share < max    ─→ released
//	else, or without canaries                       ─→ ask again after 2, 4, 8, 8 … s
//	patience is over                                ─→ ask a last time
//	  sample offline ≥ 75 %                         ─→ released, whatever the canaries are
//	  else, or no evidence within 10 s              ─→ discarded
//
// What was answered before patience was over proves nothing by then: since then all may
// have become well. So what is not asked in the end is not told.
type incident struct {
	Incident
	patient  time.Time // until when
	due      time.Time // of the next round, while none is under way; of the last one at the latest
	pause    time.Duration
	asking   *round // the one under way
	last     *round // the one before
	flipless bool   // who is gated still was answered for the first time
}

// round is one asking again. A user maps to what was answered, unknown before.
type round struct {
	began            time.Time
	final            bool // patience was over when it began: it decides
	sample, canaries map[uint32]presence.Status
}

func begin(number int, began, now time.Time, patience time.Duration, window tally) *incident {
	return &incident{
		Incident: Incident{Number: number, Began: presence.Instant(began), Flips: window.flips, Share: window.share()},
		patient:  now.Add(patience), due: now, pause: firstPause,
	}
}

// next is when something is to be done unless an answer comes before.
func (i *incident) next(canAsk bool) time.Time {
	if canAsk && i.asking == nil {
		return i.due
	}
	return i.decideBy()
}

// decideBy is when it is decided at the latest, whatever was answered.
func (i *incident) decideBy() time.Time { return i.patient.Add(lastWait) }

// isDue tells whether to ask again now.
func (i *incident) isDue(now time.Time) bool { return i.asking == nil && !now.Before(i.due) }

// start begins a round.
func (i *incident) start(now time.Time, sample, canaries []presence.User) {
	i.asking = &round{presence.Instant(now), !now.Before(i.patient), unanswered(sample), unanswered(canaries)}
	i.Rounds++
}

func unanswered(users []presence.User) map[uint32]presence.Status {
	of := make(map[uint32]presence.Status, len(users))
	for _, u := range users {
		of[u.No] = presence.Unknown
	}
	return of
}

// hear takes what an answer says of the users of the round under way. One that was
// asked for before it is none of its.
func (i *incident) hear(a presence.Answer) {
	r := i.asking
	if r == nil || a.AskedAt.Before(r.began) {
		return
	}
	for _, o := range a.Observations {
		if _, of := r.sample[o.User.No]; of {
			r.sample[o.User.No] = o.Status
		} else if _, of := r.canaries[o.User.No]; of {
			r.canaries[o.User.No] = o.Status
		}
	}
}

// stop ends the round under way.
func (i *incident) stop(now time.Time) {
	if i.asking == nil {
		return
	}
	i.last, i.asking = i.asking, nil
	i.due, i.pause = now.Add(i.pause), min(2*i.pause, longestPause)
	if i.due.After(i.patient) {
		i.due = i.patient
	}
}

// verdict decides, if it can; gated is how many users still are.
func (i *incident) verdict(now time.Time, gated int, maxShare float64) outcome {
	if gated == 0 || i.flipless {
		return discarded // everybody came back, or left the watchlist
	}
	if r := i.last; i.asking == nil && r != nil {
		switch {
		case r.back():
			return discarded
		case r.gone() && (r.final || r.trusted(maxShare)):
			return released
		case r.final:
			return discarded
		}
	}
	switch r := i.newest(); {
	case now.Before(i.decideBy()):
		return nothing
	case r != nil && r.final && r.gone():
		return released
	}
	return discarded
}

// newest is the newest round, also one under way; nil before the first.
func (i *incident) newest() *round {
	if i.asking != nil {
		return i.asking
	}
	return i.last
}

// end writes down what it came to.
func (i *incident) end(now time.Time, released bool, decided int) Incident {
	end := i.Incident
	end.Ended, end.Released, end.Decided = presence.Instant(now), released, decided
	if r := i.newest(); r != nil {
		end.SampleAsked, end.CanariesAsked = len(r.sample), len(r.canaries)
		end.SampleAnswered, end.SampleOffline = counts(r.sample)
		end.CanariesAnswered, end.CanariesOffline = counts(r.canaries)
	}
	return end
}

// counts returns how many were answered, and how many of them are offline.
func counts(of map[uint32]presence.Status) (answered, offline int) {
	for _, status := range of {
		if status != presence.Unknown {
			answered++
		}
		if status == presence.Offline {
			offline++
		}
	}
	return answered, offline
}

// evidence tells whether a round has it: answers about half of its sample. A miss
// is none.
func (r *round) evidence() bool {
	answered, _ := counts(r.sample)
	return answered > 0 && 2*answered >= len(r.sample)
}

// gone tells whether the sample has gone, as far as was answered.
func (r *round) gone() bool {
	answered, offline := counts(r.sample)
	return r.evidence() && 4*offline >= 3*answered
}

// back tells whether most of the sample is not gone.
func (r *round) back() bool {
	answered, offline := counts(r.sample)
	return r.evidence() && 2*offline < answered
}

// trusted tells whether the round's answers can be told from nonsense by its
// canaries: half of them were answered, and are not gone too.
func (r *round) trusted(maxShare float64) bool {
	answered, offline := counts(r.canaries)
	return answered > 0 && 2*answered >= len(r.canaries) && tally{offline, answered}.share() < maxShare
}
