package presence

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"
)

const (
	// ErasedWord is the last token of the subject of an [Erased].
	ErasedWord = "erased"
	// ErasedType is the CloudEvents type of an [Erased].
	ErasedType = "presence.erased.v1"
	// MostErasedRanges is how many runs of numbers one [Erased] holds at the most.
	MostErasedRanges = 2000
)

// Erased tells which events were erased on somebody's request, and never whose
// they were. Their messages are deleted from the streams after it was told: a hole
// in the numbering that it names is none to be alarmed about. Who keeps events
// deletes those with these numbers.
type Erased struct {
	AppID uint32
	// Seqs are the events' Presence-Seqs; 1 to [MostErasedRanges] runs.
	Seqs SeqSet
	// ErasedAt is when it was told, in whole microseconds.
	ErasedAt time.Time
}

// ErasedOf tells of a set of numbers in as many messages as it needs; of an empty
// one in none.
func ErasedOf(appID uint32, seqs SeqSet, at time.Time) []Erased {
	var told []Erased
	for len(seqs) > 0 {
		n := min(len(seqs), MostErasedRanges)
		told = append(told, Erased{appID, seqs[:n], Instant(at)})
		seqs = seqs[n:]
	}
	return told
}

// ID returns the CloudEvents id, <app_id>-erased-<hash of the numbers>: the same
// numbers of an app have the same id however often they are told.
func (e *Erased) ID() string {
	sum := sha256.Sum256(e.appendSeqs(nil))
	return strconv.FormatUint(uint64(e.AppID), 10) + "-erased-" + hex.EncodeToString(sum[:16])
}

// Subject returns the NATS subject.
func (e *Erased) Subject() string { return ControlSubject(e.AppID, ErasedWord) }

// Data returns the CloudEvents 1.0 structured JSON. Numbers or a time that cannot
// be told are an error.
func (e *Erased) Data() ([]byte, error) {
	if err := e.check(); err != nil {
		return nil, fmt.Errorf("erased events of app %d: %w", e.AppID, err)
	}
	w := beginControl(e.AppID, e.ID(), ErasedType, e.ErasedAt)
	w.b = e.appendSeqs(append(w.b, `,"seqs":`...))
	w.instant("erased_at", e.ErasedAt)
	return w.end(), nil
}

func (e *Erased) appendSeqs(b []byte) []byte {
	b = append(b, '[')
	for i, run := range e.Seqs {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, '[')
		b = strconv.AppendInt(b, run.First, 10)
		b = append(b, ',')
		b = strconv.AppendInt(b, run.Last, 10)
		b = append(b, ']')
	}
	return append(b, ']')
}

func (e *Erased) check() error {
	if len(e.Seqs) == 0 || len(e.Seqs) > MostErasedRanges {
		return fmt.Errorf("%d runs of numbers, not 1 to %d", len(e.Seqs), MostErasedRanges)
	}
	before := int64(-1)
	for _, run := range e.Seqs {
		if run.First < 1 || run.Last < run.First || run.First <= before+1 {
			return fmt.Errorf("%d to %d is no run of numbers behind %d", run.First, run.Last, before)
		}
		before = run.Last
	}
	if e.ErasedAt.IsZero() || !tellable(e.ErasedAt) {
		return errors.New("no time that can be told")
	}
	return nil
}

// ParseErased reads what [Erased.Data] writes. Fields that it does not know are
// passed over; another type, or numbers that are none, are an error.
func ParseErased(data []byte) (Erased, error) {
	var w struct {
		ID   string `json:"id"`
		Type string `json:"type"`
		Data struct {
			AppID    uint32     `json:"app_id"`
			Seqs     [][2]int64 `json:"seqs"`
			ErasedAt time.Time  `json:"erased_at"`
		} `json:"data"`
	}
	if err := json.Unmarshal(data, &w); err != nil {
		return Erased{}, fmt.Errorf("read erased events: %w", err)
	}
	if w.Type != ErasedType {
		return Erased{}, fmt.Errorf("read erased events %q: type %q is not %q", w.ID, w.Type, ErasedType)
	}
	e := Erased{AppID: w.Data.AppID, ErasedAt: Instant(w.Data.ErasedAt)}
	for _, run := range w.Data.Seqs {
		e.Seqs = append(e.Seqs, SeqRange{run[0], run[1]})
	}
	if err := e.check(); err != nil {
		return Erased{}, fmt.Errorf("read erased events %q: %w", w.ID, err)
	}
	return e, nil
}
