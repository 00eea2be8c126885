package chaos

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/zim-presence/poller/internal/audit"
	"github.com/zim-presence/poller/internal/zimsim"
	"github.com/zim-presence/poller/presence"
)

// simulator is the simulated ZIM, as seen from here.
type simulator struct{ zimAddresses }

// call asks one of its interfaces, and reads the answer into value unless that is nil.
func (s simulator) call(method, address string, body, value any) error {
	text, err := json.Marshal(body)
	if err != nil {
		return err
	}
	req, err := http.NewRequest(method, address, bytes.NewReader(text))
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s %s: status %d", method, address, resp.StatusCode)
	}
	if value == nil {
		return nil
	}
	return json.NewDecoder(resp.Body).Decode(value)
}

func of(app uint32) string { return "?app=" + strconv.FormatUint(uint64(app), 10) }

// set makes states visible at one instant.
func (s simulator) set(app uint32, states map[string]zimsim.State) error {
	return s.call("POST", s.Control+"/users"+of(app), states, nil)
}

func (s simulator) truth(app uint32) (map[string]zimsim.State, error) {
	var answer struct{ Users map[string]zimsim.State }
	err := s.call("GET", s.Control+"/truth"+of(app), nil, &answer)
	return answer.Users, err
}

func (s simulator) stats(app uint32) (stats zimsim.Stats, err error) {
	return stats, s.call("GET", s.Control+"/stats"+of(app), nil, &stats)
}

// arrivals are an app's requests since a time (zero: all), as the gates noted
// them; of one daemon, or of all for a negative one.
func (s simulator) arrivals(app uint32, daemon int, since time.Time) (all []arrival, err error) {
	from := int64(0)
	if !since.IsZero() {
		from = since.UnixNano()
	}
	return all, s.call("GET", fmt.Sprintf("%s/arrivals/%d?daemon=%d&since=%d", s.Switch, app, daemon, from), nil, &all)
}

// changes are the true changes of each user's status, and by how much the clock
// that timed them may be apart from everybody else's: it does not follow what is
// done to the machine's.
func (s simulator) changes(app uint32) (byUser map[string][]audit.Change, slack time.Duration, err error) {
	var answer struct {
		Changes []zimsim.Change
		Dropped uint64
	}
	if err := s.call("GET", s.Control+"/changes"+of(app), nil, &answer); err != nil {
		return nil, 0, err
	}
	if answer.Dropped > 0 {
		return nil, 0, fmt.Errorf("%d changes are forgotten", answer.Dropped)
	}
	byUser = map[string][]audit.Change{}
	for _, c := range answer.Changes {
		if c.From.Status() == c.To.Status() {
			continue
		}
		to := presence.Offline
		if c.To == zimsim.Online {
			to = presence.Online
		}
		byUser[c.User] = append(byUser[c.User], audit.Change{At: c.At, To: to})
	}
	var clock struct{ Now time.Time }
	asked := time.Now()
	err = s.call("GET", s.Control+"/clock", nil, &clock)
	return byUser, time.Since(asked) + clock.Now.Sub(asked).Abs(), err
}

// addFaults takes the form of the command line.
func (s simulator) addFaults(text string, app uint32) error {
	faults, err := zimsim.ParseFaults(text)
	if err != nil {
		return err
	}
	for i := range faults {
		faults[i].App = app
	}
	return s.call("POST", s.Control+"/faults", faults, nil)
}

func (s simulator) clearFaults(kind string) error {
	return s.call("DELETE", s.Control+"/faults?kind="+url.QueryEscape(kind), nil, nil)
}

// link does one thing to a daemon's link.
func (s simulator) link(daemon int, do string) error {
	return s.call("POST", fmt.Sprintf("%s/links/%d?do=%s", s.Switch, daemon, url.QueryEscape(do)), nil, nil)
}
