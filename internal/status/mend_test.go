package status

import (
	"errors"
	"fmt"
	"io"
	"testing"
)

// mendable is an error that knows its mend.
type mendable struct{ text, mend string }

func (m mendable) Error() string { return m.text }
func (m mendable) Mend() string  { return m.mend }

// over is an error that knows no mend, over one that may.
type over struct{ error }

func (o over) Mend() string  { return "" }
func (o over) Unwrap() error { return o.error }

func TestMend(t *testing.T) {
	knows, other := mendable{"no bread", "bake"}, mendable{"no salt", "buy"}
	for _, c := range []struct {
		name string
		err  error
		want string
	}{
		{"nothing", nil, ""},
		{"none", io.EOF, ""},
		{"itself", knows, "bake"},
		{"wrapped", fmt.Errorf("a: %w", fmt.Errorf("b: %w", knows)), "bake"},
		{"over one that knows", over{knows}, "bake"},
		{"over none", over{io.EOF}, ""},
		{"the first that knows", errors.Join(io.EOF, over{io.EOF}, knows, other), "bake"},
		{"two in a row", fmt.Errorf("%w: %w", other, knows), "buy"},
	} {
		if got := Mend(c.err); got != c.want {
			t.Errorf("%s: mend of %v is %q, want %q", c.name, c.err, got, c.want)
		}
	}
}

func TestFault(t *testing.T) {
	for _, c := range []struct{ text, mend, want string }{
		{"no bread", "", "no bread"},
		{"no bread", "bake", "no bread"},
		{"no bread; mend: bake", "bake", "no bread"},
		{"ZIM says no bread: bake", "bake", "ZIM says no bread"},
		{"bake is what it says; mend: bake", "bake", "bake is what it says"},
	} {
		if got := (Check{Err: errors.New(c.text), Mend: c.mend}).Fault(); got != c.want {
			t.Errorf("fault of %q with the mend %q is %q, want %q", c.text, c.mend, got, c.want)
		}
	}
	if got := (Check{}).Fault(); got != "" {
		t.Errorf("fault of a green check is %q", got)
	}
}

// Who wires the program may know better, and notes are kept apart from colours.
func TestMendByAndNotes(t *testing.T) {
	c := NewChecks()
	c.MendBy(func(name string, err error) string { return name + " says " + Mend(err) })
	c.Set("green", nil)
	c.Set("red", mendable{"no bread", "bake"})
	c.Expect("silent", 0)
	c.Note("green", "as it should be")
	c.Note("red", "gone")
	c.Note("red", "")
	c.Note("nobody", "unseen")
	_, said := c.Judge()
	var got []string
	for _, k := range said {
		got = append(got, fmt.Sprintf("%s: %q %q", k.Name, k.Mend, k.Note))
	}
	if want := `[green: "" "as it should be" red: "red says bake" "" silent: "" ""]`; fmt.Sprint(got) != want {
		t.Errorf("got %v, want %s", got, want)
	}
	c.Remove("green")
	c.Set("green", nil)
	if _, said := c.Judge(); said[0].Note != "" {
		t.Errorf("a check that was removed and is back has the note %q", said[0].Note)
	}
}
