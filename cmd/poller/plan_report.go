package main

import (
	"math"
	"time"

	"github.com/zim-presence/poller/internal/plan"
)

// planReport is what poller plan -o json writes. Times are in seconds.
type planReport struct {
	AppID           uint32        `json:"app_id,omitempty"`
	Users           int           `json:"users"`
	Invalid         int           `json:"invalid,omitempty"`
	Rate            float64       `json:"rate"`
	Schedule        string        `json:"schedule"`
	ChangesPerHour  *float64      `json:"changes_per_hour"`
	Measured        float64       `json:"changes_measured_seconds,omitempty"`
	UsersPerRequest int           `json:"users_per_request"`
	Requests        int           `json:"requests"`
	Sweep           float64       `json:"sweep_seconds"`
	Between         planSpan      `json:"between_answers"`
	Seen            planSpan      `json:"seen"`
	Offline         planSpan      `json:"told_offline"`
	Online          planSpan      `json:"told_online"`
	BudgetUsed      float64       `json:"budget_used"`
	Hold            *planHold     `json:"hold"`
	Fits            bool          `json:"fits"`
	BackToBack      bool          `json:"back_to_back"`
	FitUsers        int           `json:"fit_users"`
	FitRate         int           `json:"fit_rate,omitempty"`
	FitEvery        float64       `json:"fit_every_seconds,omitempty"`
	LastSweep       *planMeasured `json:"last_sweep"`
	Notes           []string      `json:"notes"`
	Curve           []planPoint   `json:"curve"`
}

// planSpan is a time on average and at the most.
type planSpan struct {
	Mean  float64 `json:"mean_seconds"`
	Worst float64 `json:"worst_seconds"`
}

// planHold is what the holds cost.
type planHold struct {
	PerSweep   float64 `json:"requests_per_sweep"`
	PerHour    float64 `json:"requests_per_hour"`
	BudgetUsed float64 `json:"budget_used"`
}

// planMeasured is what the newest sweep really took.
type planMeasured struct {
	Sweep    int64   `json:"sweep"`
	Seconds  float64 `json:"seconds"`
	Requests int     `json:"requests"`
}

// planPoint is a point of the plot.
type planPoint struct {
	Users int `json:"users"`
	planSpan
}

func (r *planned) report() planReport {
	report := planReport{
		AppID: r.app.AppID, Users: r.want.Users, Invalid: r.invalid, Rate: r.app.Rate, Schedule: r.app.Schedule,
		UsersPerRequest: r.Batch, Requests: r.Requests, Sweep: rounded(r.Sweep.Seconds()),
		Between: spanReport(r.Between), Seen: spanReport(r.Seen), Offline: spanReport(r.Offline), Online: spanReport(r.Online),
		BudgetUsed: rounded(r.Budget), Fits: r.Fits, BackToBack: r.BackToBack,
		FitUsers: r.fitUsers, FitRate: r.fitRate, FitEvery: r.fitEvery.Seconds(),
		Notes: append([]string{}, r.notes()...),
	}
	if r.changing {
		report.ChangesPerHour, report.Measured = &r.want.ChangesPerHour, rounded(r.measured.Seconds())
	}
	if r.holding() && r.changing {
		report.Hold = &planHold{PerSweep: rounded(r.Hold.PerSweep), PerHour: rounded(r.Hold.PerHour), BudgetUsed: rounded(r.Hold.Budget)}
	}
	if r.pace.Sweep > 0 {
		report.LastSweep = &planMeasured{Sweep: r.pace.Sweep, Seconds: rounded(r.pace.Took.Seconds()), Requests: r.pace.Requests}
	}
	for _, p := range r.curve {
		report.Curve = append(report.Curve, planPoint{p.Users, spanReport(p.Seen)})
	}
	return report
}

func spanReport(s plan.Span) planSpan {
	return planSpan{rounded(s.Mean.Seconds()), rounded(s.Worst.Seconds())}
}

// rounded keeps what means something.
func rounded(v float64) float64 { return math.Round(v*10_000) / 10_000 }

// holding says whether anything is held.
func (r *planned) holding() bool { return r.want.HoldOffline > 0 || r.want.HoldOnline > 0 }

// uneven says whether the schedule is not always due after the same time, and its shortest and longest.
func (r *planned) uneven() (shortest, longest time.Duration, uneven bool) {
	shortest, longest = r.want.Gaps[0], r.want.Gaps[0]
	for _, gap := range r.want.Gaps {
		shortest, longest = min(shortest, gap), max(longest, gap)
	}
	return shortest, longest, shortest < longest
}
