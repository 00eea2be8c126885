package follow

import (
	"errors"
	"testing"
)

// A message that went to somebody else, or nowhere, ends the reading.
func TestAReadingWithoutAMessageEnds(t *testing.T) {
	r := &reading{in: make(chan message, 3), deliver: 7}
	for _, n := range []uint64{8, 9, 11} {
		r.in <- message{deliver: n}
	}
	for range 2 {
		if _, ok, err := r.next(t.Context(), nil); !ok || err != nil {
			t.Fatalf("next: %t, %v", ok, err)
		}
	}
	if _, ok, err := r.next(t.Context(), nil); ok || !errors.Is(err, errSkipped) {
		t.Errorf("next: %t, %v, want %v", ok, err, errSkipped)
	}
}
