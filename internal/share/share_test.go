package share

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func equal(apps int, names ...string) (live []Replica) {
	var all []uint32
	for app := range uint32(apps) {
		all = append(all, app+1)
	}
	for _, name := range names {
		live = append(live, Replica{name, all})
	}
	return live
}

func TestAssign(t *testing.T) {
	for name, c := range map[string]struct {
		live    []Replica
		holders map[uint32]string
		want    map[uint32]string
	}{
		"nobody":              {nil, map[uint32]string{1: "a"}, map[uint32]string{}},
		"one has all":         {equal(3, "a"), nil, map[uint32]string{1: "a", 2: "a", 3: "a"}},
		"one app, two":        {equal(1, "b", "a"), nil, map[uint32]string{1: "a"}},
		"one app stays":       {equal(1, "a", "b"), map[uint32]string{1: "b"}, map[uint32]string{1: "b"}},
		"the holder is dead":  {equal(1, "a", "b"), map[uint32]string{1: "c"}, map[uint32]string{1: "a"}},
		"the newest gives up": {equal(4, "a", "b"), map[uint32]string{1: "a", 2: "a", 3: "a", 4: "a"}, map[uint32]string{1: "a", 2: "a", 3: "b", 4: "b"}},
		"even enough":         {equal(4, "a", "b", "c"), map[uint32]string{1: "a", 2: "a", 3: "b", 4: "b"}, map[uint32]string{1: "a", 2: "a", 3: "b", 4: "b"}},
		"more than apps":      {equal(2, "a", "b", "c"), map[uint32]string{1: "c", 2: "c"}, map[uint32]string{1: "c", 2: "a"}},
		"only one can":        {[]Replica{{"a", []uint32{1, 2}}, {"b", []uint32{2}}}, map[uint32]string{1: "b", 2: "a"}, map[uint32]string{1: "a", 2: "a"}},
		"the scarce one stays": {
			[]Replica{{"a", []uint32{1, 2, 3}}, {"b", []uint32{1, 2}}}, map[uint32]string{1: "a", 2: "a", 3: "a"},
			map[uint32]string{1: "a", 3: "a", 2: "b"},
		},
		"one makes room for another": {
			[]Replica{{"a", []uint32{1, 2}}, {"b", []uint32{2, 3}}, {"c", []uint32{3}}}, map[uint32]string{2: "a"},
			map[uint32]string{1: "a", 2: "a", 3: "b"},
		},
		"a chain makes room": {
			[]Replica{{"a", []uint32{1, 4}}, {"b", []uint32{1, 2}}, {"c", []uint32{2, 3}}, {"d", []uint32{3, 4}}},
			map[uint32]string{1: "b", 4: "d"},
			map[uint32]string{1: "b", 2: "c", 3: "d", 4: "a"},
		},
		"twice in a set": {[]Replica{{"a", []uint32{1, 1, 2}}, {"b", []uint32{2, 1, 2}}}, nil, map[uint32]string{1: "a", 2: "b"}},
	} {
		if diff := cmp.Diff(c.want, Assign(c.live, c.holders)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// fleet draws replicas with sets of apps: the same for all, any, or such that each
// app has two candidates, which leaves the least room.
func fleet(t *rapid.T) []Replica {
	apps := rapid.IntRange(0, 24).Draw(t, "apps")
	names := rapid.SliceOfNDistinct(rapid.StringMatching(`[a-z]{1,3}`), 0, 7, rapid.ID).Draw(t, "names")
	kind := rapid.IntRange(0, 2).Draw(t, "kind")
	if kind == 0 {
		return equal(apps, names...)
	}
	var live []Replica
	if kind == 1 && len(names) > 0 {
		sets := map[string][]uint32{}
		for app := range uint32(apps) {
			for range 2 {
				name := rapid.SampledFrom(names).Draw(t, "candidate")
				sets[name] = append(sets[name], app+1)
			}
		}
		for _, name := range names {
			live = append(live, Replica{name, sets[name]})
		}
		return live
	}
	for _, name := range names {
		live = append(live, Replica{name, rapid.SliceOfN(rapid.Uint32Range(1, uint32(apps)+1), 0, 24).Draw(t, "set")})
	}
	return live
}

// anyHolders draws holders among the replicas, strangers and nobody.
func anyHolders(t *rapid.T, live []Replica) map[uint32]string {
	names := []string{"", "somebody else"}
	for _, r := range live {
		names = append(names, r.Name)
	}
	holders := map[uint32]string{}
	for app := range uint32(26) {
		if name := rapid.SampledFrom(names).Draw(t, "holder"); name != "" {
			holders[app] = name
		}
	}
	return holders
}

func candidates(live []Replica) map[uint32][]string {
	of := map[uint32][]string{}
	for _, r := range live {
		for _, app := range r.Apps {
			if !slices.Contains(of[app], r.Name) {
				of[app] = append(of[app], r.Name)
			}
		}
	}
	return of
}

// shares are the most that each may have, in whole numbers: parts of 5040, which
// every number of replicas up to 10 divides.
func shares(live []Replica) map[string]int {
	parts := map[string]int{}
	for _, names := range candidates(live) {
		for _, name := range names {
			parts[name] += 5040 / len(names)
		}
	}
	for name, n := range parts {
		parts[name] = (n + 5039) / 5040
	}
	return parts
}

func counts(assigned map[uint32]string) map[string]int {
	n := map[string]int{}
	for _, name := range assigned {
		n[name]++
	}
	return n
}

// Whoever lives and holds what: every app that can be polled is assigned to one
// that can, nobody has more than the share, and doing so once is enough.
func TestEverybodyHasAtMostTheShare(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		live := fleet(t)
		holders := anyHolders(t, live)
		got := Assign(live, holders)
		can := candidates(live)
		for app, name := range got {
			if !slices.Contains(can[app], name) {
				t.Errorf("app %d is assigned to %q, the candidates are %q", app, name, can[app])
			}
		}
		if len(got) != len(can) {
			t.Errorf("%d apps are assigned, %d have a candidate", len(got), len(can))
		}
		limit := shares(live)
		for name, n := range counts(got) {
			if n > limit[name] {
				t.Errorf("%q has %d apps, its share is %d", name, n, limit[name])
			}
		}
		if again := Assign(live, got); !maps.Equal(again, got) {
			t.Errorf("what has come true changes again: %v, then %v", got, again)
		}
	})
}

func TestOrderDoesNotMatter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		live := fleet(t)
		holders := anyHolders(t, live)
		want := Assign(live, holders)
		random := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1))
		other := slices.Clone(live)
		random.Shuffle(len(other), func(i, j int) { other[i], other[j] = other[j], other[i] })
		for i := range other {
			apps := slices.Clone(other[i].Apps)
			random.Shuffle(len(apps), func(i, j int) { apps[i], apps[j] = apps[j], apps[i] })
			other[i].Apps = apps
		}
		if got := Assign(other, holders); !maps.Equal(got, want) {
			t.Errorf("in another order: %v, want %v", got, want)
		}
	})
}

// With equal sets no more moves than have to: each holder's surplus, and what
// nobody holds.
func TestFewestMoves(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		names := rapid.SliceOfNDistinct(rapid.StringMatching(`[a-z]{1,3}`), 1, 7, rapid.ID).Draw(t, "names")
		apps := rapid.IntRange(1, 24).Draw(t, "apps")
		live := equal(apps, names...)
		holders := anyHolders(t, live)
		got := Assign(live, holders)
		share := (apps + len(names) - 1) / len(names)
		held := map[string]int{}
		need, moved := 0, 0
		for app := range uint32(apps) {
			held[holders[app+1]]++
			if got[app+1] != holders[app+1] {
				moved++
			}
		}
		for name, n := range held {
			if slices.Contains(names, name) {
				n -= share
			}
			need += max(0, n)
		}
		if moved != need {
			t.Errorf("%d apps move, want %d: held %v, share %d", moved, need, held, share)
		}
	})
}

// Where nobody holds anything, equal sets make shares that differ by one at most.
func TestBeginsEvenly(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		names := rapid.SliceOfNDistinct(rapid.StringMatching(`[a-z]{1,3}`), 1, 7, rapid.ID).Draw(t, "names")
		apps := rapid.IntRange(0, 24).Draw(t, "apps")
		has := counts(Assign(equal(apps, names...), nil))
		for _, name := range names {
			if n := has[name]; n < apps/len(names) || n > (apps+len(names)-1)/len(names) {
				t.Errorf("%q begins with %d of %d apps, there are %d replicas", name, n, apps, len(names))
			}
		}
	})
}

// Replicas come and go, and each acts at a moment of its own: it gives up what is
// assigned to another, or takes what is assigned to it and free. All comes to
// rest, with every app held within the shares.
func TestComesToRest(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		everybody := fleet(t)
		holders := map[uint32]string{}
		for range rapid.IntRange(1, 4).Draw(t, "phases") {
			var live []Replica
			for _, r := range everybody {
				if rapid.Bool().Draw(t, "lives") {
					live = append(live, r)
				}
			}
			maps.DeleteFunc(holders, func(_ uint32, name string) bool {
				return !slices.ContainsFunc(live, func(r Replica) bool { return r.Name == name })
			})
			settle(t, live, holders)
		}
	})
}

func settle(t *rapid.T, live []Replica, holders map[uint32]string) {
	for step := 0; ; step++ {
		assigned := Assign(live, holders)
		var due []uint32
		for app, name := range assigned {
			if holders[app] != name {
				due = append(due, app)
			}
		}
		if len(due) == 0 {
			break
		}
		if step > 200 {
			t.Fatalf("after %d steps there are still moves: %v, assigned %v", step, holders, assigned)
		}
		slices.Sort(due)
		app := rapid.SampledFrom(due).Draw(t, "acts")
		if _, held := holders[app]; held {
			delete(holders, app)
		} else {
			holders[app] = assigned[app]
		}
	}
	limit := shares(live)
	for name, n := range counts(holders) {
		if n > limit[name] {
			t.Errorf("%q holds %d apps, its share is %d", name, n, limit[name])
		}
	}
	for app := range candidates(live) {
		if holders[app] == "" {
			t.Errorf("app %d is left alone", app)
		}
	}
}

func BenchmarkAssign(b *testing.B) {
	var names []string
	for i := range 10 {
		names = append(names, fmt.Sprint("replica-", i))
	}
	live := equal(100, names...)
	holders := map[uint32]string{}
	for app := range uint32(100) {
		holders[app+1] = names[0]
	}
	for b.Loop() {
		Assign(live, holders)
	}
}
