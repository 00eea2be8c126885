package page

import (
	"encoding/json"
	"math"
	"strconv"
)

// Column is a column of a [History]; what is not known is [Gap].
type Column []float32

// Gap stands for what was not known.
func Gap() float32 { return float32(math.NaN()) }

// known tells whether a value is no gap.
func known(v float32) bool { return !math.IsNaN(float64(v)) }

// MarshalJSON writes an array in which gaps are null.
func (c Column) MarshalJSON() ([]byte, error) {
	b := make([]byte, 0, 2+6*len(c))
	b = append(b, '[')
	for i, v := range c {
		if i > 0 {
			b = append(b, ',')
		}
		if !known(v) || math.IsInf(float64(v), 0) {
			b = append(b, "null"...)
			continue
		}
		b = strconv.AppendFloat(b, float64(v), 'f', -1, 32)
	}
	return append(b, ']'), nil
}

// UnmarshalJSON reads what [Column.MarshalJSON] writes.
func (c *Column) UnmarshalJSON(text []byte) error {
	var values []*float32
	if err := json.Unmarshal(text, &values); err != nil {
		return err
	}
	*c = make(Column, len(values))
	for i, v := range values {
		(*c)[i] = Gap()
		if v != nil {
			(*c)[i] = *v
		}
	}
	return nil
}
