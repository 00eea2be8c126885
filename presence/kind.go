package presence

import "fmt"

// Kind says what an event tells. Consumers ignore kinds that they do not know.
type Kind uint8

const (
	// KindOnline: a user went from offline to online.
	KindOnline Kind = iota + 1
	// KindOffline: a user went from online to offline.
	KindOffline
	// KindBaseline: the first answer about a newly watched user; no transition.
	KindBaseline
	// KindRemoved: the user left the watchlist; no transition.
	KindRemoved
	// KindErased stands in the place of an event that was erased on somebody's
	// request: its number, and nothing of whom or what it told. No transition. It
	// leads from unknown to unknown, of the user "", in nobody's chain. One that stands
	// for nothing comes behind an erased end of the ledger.
	KindErased
	// KindStale: there has been no answer about the user for longer than the operator
	// allows; no transition. It leads to unknown, and a baseline leads back.
	KindStale

	lastKind = KindStale
)

// String returns the word used in subjects, events and SQL.
func (k Kind) String() string {
	switch k {
	case KindOnline:
		return "online"
	case KindOffline:
		return "offline"
	case KindBaseline:
		return "baseline"
	case KindRemoved:
		return "removed"
	case KindErased:
		return "erased"
	case KindStale:
		return "stale"
	}
	return fmt.Sprintf("kind(%d)", uint8(k))
}

// ParseKind is the inverse of [Kind.String].
func ParseKind(word string) (Kind, error) {
	for k := KindOnline; k <= lastKind; k++ {
		if k.String() == word {
			return k, nil
		}
	}
	return 0, fmt.Errorf("no such kind: %q", word)
}

// MarshalText encodes the kind as its word; a value that is none is an error.
func (k Kind) MarshalText() ([]byte, error) {
	if k < KindOnline || k > lastKind {
		return nil, fmt.Errorf("no such kind: %d", uint8(k))
	}
	return []byte(k.String()), nil
}

// UnmarshalText is the inverse of [Kind.MarshalText].
func (k *Kind) UnmarshalText(text []byte) (err error) {
	*k, err = ParseKind(string(text))
	return err
}

// KindOf tells what a change between two statuses is. A change to the same
// status is none: ok is false. It never returns [KindErased], which tells no
// change, nor [KindStale], which a removal looks like.
func KindOf(from, to Status) (kind Kind, ok bool) {
	switch {
	case from == to:
		return 0, false
	case from == Unknown:
		return KindBaseline, true
	case to == Unknown:
		return KindRemoved, true
	case to == Online:
		return KindOnline, true
	default:
		return KindOffline, true
	}
}

// Leads tells whether an event of the kind may lead from one status to the other.
// A removal may lead from unknown to unknown: behind a stale event.
func (k Kind) Leads(from, to Status) bool {
	switch k {
	case KindOnline:
		return from == Offline && to == Online
	case KindOffline:
		return from == Online && to == Offline
	case KindBaseline:
		return from == Unknown && to != Unknown
	case KindRemoved, KindErased:
		return to == Unknown && (k == KindRemoved || from == Unknown)
	case KindStale:
		return from != Unknown && to == Unknown
	}
	return false
}
