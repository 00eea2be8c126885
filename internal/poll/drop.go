package poll

// largeWatchlist is from how many users on a sudden drop is held. With fewer, a
// half is a handful, whom somebody may well remove by hand.
const largeWatchlist = 100

// examplesOfGone is how many of who is gone are named in the log, so that a
// person sees whom it is about. They are named nowhere else.
const examplesOfGone = 5

// holds tells, when the watchlist has been read to its end, whether the removal
// of who is not on it any more is held: of the many who were watched before a half or
// more are gone. That is what an accident looks like: a table truncated and
// not filled again yet, a filter that is wrong. Who is new does not count, or an
// exchange of everybody for others would pass.
//
// A drop is held once. The next reading is the second look and is taken as it
// is; it comes a sweep later, or, when the term ends between them, is the first
// of a new pair.
func (s *sweep) holds(was int) bool {
	gone := s.Memory.Unmarked()
	dropped := was >= largeWatchlist && 2*(was-gone) <= was
	hold := dropped && !s.AllowSuddenDrop && !s.dropSeen
	if dropped {
		s.Log.Warn().Int("watched", was).Int("gone", gone).Strs("examples", s.Memory.Gone(examplesOfGone)).
			Bool("held", hold).Msg("half of the watchlist or more is gone at once")
	}
	s.dropSeen = hold
	return hold
}
