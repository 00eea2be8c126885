package presence

import "time"

// Observation is one user's status as it was answered.
type Observation struct {
	User   User
	Status Status
	Detail Detail
}

// Answer is what asking about one batch brought: an observation for each user
// whose status was told and a miss for each other one. Every user of the batch
// is in exactly one of the two.
type Answer struct {
	// AskedAt is when the request left, At when its reply was read; both as
	// [Instant]. The statuses were true at some moment between the two.
	AskedAt, At  time.Time
	Observations []Observation
	Missed       []Miss
}

// Miss is a user without an answer; the last state stands.
type Miss struct {
	User User
	// Reason is a word of the small fixed set below; it labels the counts.
	Reason MissReason
}

// MissReason says why there was no answer.
type MissReason string

const (
	// MissFailed: the request failed, after all repetitions.
	MissFailed MissReason = "failed"
	// MissAbsent: a good answer left the user out.
	MissAbsent MissReason = "absent"
	// MissConflict: the answer contradicted itself about the user.
	MissConflict MissReason = "conflict"
	// MissUnreadable: a status word or code that means nothing to us.
	MissUnreadable MissReason = "unreadable"
	// MissRefused: ZIM refuses the id itself.
	MissRefused MissReason = "refused"
	// MissImplausible: the user was in an answer that was not believed, since it said
	// of too many at once that they had gone, and asking again brought something else.
	MissImplausible MissReason = "implausible"
)
