package zimsim

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Fault is one thing that goes wrong, again and again, until its Count is used up or it is cleared. A request that
// is struck has arrived all the same: it counts in every book and in the rate.
type Fault struct {
	Kind        Kind          `json:"kind"`
	App         uint32        `json:"app,omitempty"`         // 0 means every app
	Probability float64       `json:"probability,omitempty"` // of striking a request, over 0 up to 1; 0 means 1
	Count       int           `json:"count,omitempty"`       // strikes this many requests; 0 means no end
	Status      int           `json:"status,omitempty"`      // of http, 400 to 599
	RetryAfter  int           `json:"retry_after,omitempty"` // of http, seconds; 0 sends none
	Code        int           `json:"code,omitempty"`        // of code
	Delay       time.Duration `json:"-"`                     // of slow and slow_answer; in JSON "delay": "2s"
	Share       float64       `json:"share,omitempty"`       // of the users spoilt, 0 to 1; 0 means 0.5
}

func (f Fault) withDefaults() (Fault, error) {
	f = f.filled()
	if err := f.check(); err != nil {
		return f, fmt.Errorf("fault %q: %w", f.Kind, err)
	}
	return f, nil
}

func (f Fault) filled() Fault {
	setIfZero(&f.Probability, 1)
	setIfZero(&f.Share, 0.5)
	setIfZero(&f.Status, http.StatusServiceUnavailable)
	setIfZero(&f.Code, 1)
	return f
}

// check says what is wrong with a filled fault, without naming it.
func (f Fault) check() error {
	switch {
	case !f.Kind.wire() && !f.Kind.data():
		return errNoKind()
	case f.Probability < 0 || f.Probability > 1 || f.Share < 0 || f.Share > 1:
		return errors.New("probability and share: want 0 to 1")
	case f.Status < 400 || f.Status > 599:
		return fmt.Errorf("status %d: want 400 to 599", f.Status)
	case f.Count < 0 || f.Delay < 0 || f.RetryAfter < 0:
		return errors.New("count, delay and retry_after: want at least 0")
	case (f.Kind == Slow || f.Kind == SlowAnswer) && f.Delay == 0:
		return errors.New("want a delay")
	}
	return nil
}

type plainFault Fault

type wireFault struct {
	plainFault
	Delay string `json:"delay,omitempty"`
}

// MarshalJSON writes the delay as Go writes durations, and leaves out what the kind does not take.
func (f Fault) MarshalJSON() ([]byte, error) {
	f = f.fitting()
	w := wireFault{plainFault: plainFault(f)}
	if f.Delay != 0 {
		w.Delay = f.Delay.String()
	}
	return json.Marshal(w)
}

// UnmarshalJSON is the inverse of MarshalJSON and refuses unknown keys.
func (f *Fault) UnmarshalJSON(text []byte) error {
	var w wireFault
	if err := decodeStrict(text, &w); err != nil {
		return fmt.Errorf("fault: %w", err)
	}
	*f = Fault(w.plainFault)
	if w.Delay == "" {
		return nil
	}
	var err error
	f.Delay, err = time.ParseDuration(w.Delay)
	return err
}

// ParseFaults reads faults as a command line writes them, separated by commas:
//
//	kind[:argument][@probability][xcount]
//
// The argument is the first of what the kind takes, as Kinds says: "http:429x3,code:7@0.1,slow:2s@0.5,partial:0.2,hangx1".
// A probability of 0 leaves the fault out.
func ParseFaults(text string) ([]Fault, error) {
	var faults []Fault
	for _, item := range strings.Split(text, ",") {
		if item = strings.TrimSpace(item); item == "" {
			continue
		}
		f, off, err := parseFault(item)
		if err != nil {
			return nil, fmt.Errorf("fault %q: %w", item, err)
		}
		if !off {
			faults = append(faults, f)
		}
	}
	return faults, nil
}

func parseFault(item string) (f Fault, off bool, err error) {
	rest, count, counted := cutLast(item, "x")
	if n, err := strconv.Atoi(count); counted && err == nil {
		f.Count = n
	} else {
		rest = item
	}
	rest, probability, likely := strings.Cut(rest, "@")
	if likely {
		if f.Probability, err = strconv.ParseFloat(probability, 64); err != nil {
			return f, false, err
		}
	}
	kind, argument, _ := strings.Cut(rest, ":")
	f.Kind = Kind(kind)
	if !f.Kind.wire() && !f.Kind.data() {
		return f, false, errNoKind()
	}
	if err := f.argue(argument); err != nil {
		return f, false, err
	}
	f = f.filled()
	return f, likely && probability != "" && strings.Trim(probability, "0.") == "", f.check()
}

// argue sets the one figure that the kind has.
func (f *Fault) argue(argument string) (err error) {
	if argument == "" {
		return nil
	}
	switch f.Kind.takes() {
	case "status, retry_after":
		f.Status, err = strconv.Atoi(argument)
	case "code":
		f.Code, err = strconv.Atoi(argument)
	case "delay":
		f.Delay, err = time.ParseDuration(argument)
	case "share":
		f.Share, err = strconv.ParseFloat(argument, 64)
	default:
		err = errors.New("this kind takes no argument")
	}
	return err
}

func cutLast(s, sep string) (before, after string, found bool) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(sep):], true
}
