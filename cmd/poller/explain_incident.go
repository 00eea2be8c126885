package main

// incident is one that is under way: what ZIM says of many is not told yet, and may concern this user.
func (s *sentences) incident() {
	d := s.r.Daemon.Story
	if d == nil {
		return
	}
	for i := range d.Incidents {
		if one := &d.Incidents[i]; one.EndedAt == nil {
			s.say("Incident %d is under way since %s: %s (%.0f %% of those online) are said to have gone; some are asked about again before anything is told.",
				one.Incident, s.when(one.BeganAt), plural(int64(one.Flips), "user"), 100*one.Share)
		}
	}
}
