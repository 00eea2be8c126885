package presence

import (
	"cmp"
	"slices"
)

// SeqRange is a run of event numbers, both ends included.
type SeqRange struct{ First, Last int64 }

// SeqSet is a set of event numbers as runs: ascending, none touching the next. The
// zero value is empty. [NewSeqSet] makes one; the others take sets alone.
type SeqSet []SeqRange

// NewSeqSet returns the set of the numbers in the runs, which may come in any
// order and overlap. A run whose Last is before its First is empty.
func NewSeqSet(runs ...SeqRange) SeqSet {
	sorted := slices.Clone(runs)
	slices.SortFunc(sorted, func(a, b SeqRange) int { return cmp.Compare(a.First, b.First) })
	var set SeqSet
	for _, run := range sorted {
		last := len(set) - 1
		switch {
		case run.Last < run.First:
		case last >= 0 && run.First-1 <= set[last].Last:
			set[last].Last = max(set[last].Last, run.Last)
		default:
			set = append(set, run)
		}
	}
	return set
}

// SeqSetOf returns the set of single numbers, in any order.
func SeqSetOf(seqs ...int64) SeqSet {
	runs := make([]SeqRange, len(seqs))
	for i, seq := range seqs {
		runs[i] = SeqRange{seq, seq}
	}
	return NewSeqSet(runs...)
}

// Contains tells whether a number is in the set.
func (s SeqSet) Contains(seq int64) bool {
	i, found := slices.BinarySearchFunc(s, seq, func(run SeqRange, seq int64) int { return cmp.Compare(run.First, seq) })
	return found || i > 0 && s[i-1].Last >= seq
}

// Len returns how many numbers are in the set.
func (s SeqSet) Len() (n int64) {
	for _, run := range s {
		n += run.Last - run.First + 1
	}
	return n
}

// Union returns the numbers that are in one of the sets or in both.
func (s SeqSet) Union(other SeqSet) SeqSet { return NewSeqSet(slices.Concat(s, other)...) }

// Without returns the numbers of s that are not in other.
func (s SeqSet) Without(other SeqSet) SeqSet {
	var left SeqSet
	i := 0
	for _, run := range s {
		for i < len(other) && other[i].Last < run.First {
			i++
		}
		for j := i; j < len(other) && other[j].First <= run.Last; j++ {
			if other[j].First > run.First {
				left = append(left, SeqRange{run.First, other[j].First - 1})
			}
			run.First = other[j].Last + 1
		}
		if run.First <= run.Last {
			left = append(left, run)
		}
	}
	return left
}
