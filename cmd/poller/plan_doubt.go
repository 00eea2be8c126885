package main

import "fmt"

// doubts are notes about plausibility; none where it is off.
func (r *planned) doubts() []string {
	doubt := r.cfg.Plausibility
	if doubt.MaxOfflineShare == 0 {
		return nil
	}
	notes := []string{fmt.Sprintf("Where %s of those online or more go offline at once, some are asked about again first: it is told some seconds later, "+
		"and after plausibility.patience, %s, where nobody is left online.", wholePercent(doubt.MaxOfflineShare), formatDuration(doubt.Patience))}
	need := doubt.Patience + 2*r.Between.Worst + r.Sweep
	if after := r.cfg.StaleAfter; after > 0 && after < need {
		notes = append(notes, fmt.Sprintf("stale_after is %s, less than plausibility.patience, two periods and a sweep (%s): nobody else is asked about "+
			"meanwhile, so that ZIM's nonsense alone may make users stale.", formatDuration(after), shortly(need)))
	}
	return notes
}

// wholePercent is a share as it was set.
func wholePercent(share float64) string { return fmt.Sprintf("%.4g %%", 100*share) }
