package main

import (
	"reflect"
	"slices"
	"testing"
	"time"
)

// another changes the value of a leaf.
func another(v leaf) {
	e := reflect.ValueOf(v.ptr).Elem()
	switch p := v.ptr.(type) {
	case *time.Duration:
		*p += time.Second
	case *names:
		*p = append(*p, "a.example.com")
	default:
		switch e.Kind() {
		case reflect.Bool:
			e.SetBool(!e.Bool())
		case reflect.Int:
			e.SetInt(e.Int() + 1)
		case reflect.Uint32:
			e.SetUint(e.Uint() + 1)
		case reflect.Float64:
			e.SetFloat(e.Float() + 0.25)
		case reflect.String:
			e.SetString(e.String() + "x")
		}
	}
}

// Each key alone: it is listed as changed, and in force from then on exactly if it is live.
func TestWhatIsInForce(t *testing.T) {
	t.Parallel()
	plain := func() config {
		cfg := defaultConfig(func(string) string { return "" })
		cfg.Apps = []appConfig{{AppID: 7, ServerSecret: "s", Schedule: "@every 1m", Rate: 20}}
		return cfg
	}
	n := len(leaves(ptr(plain())))
	for i := range n {
		before, read := plain(), plain()
		v := leaves(&read)[i]
		another(v)
		key := v.key
		if name := v.key; len(name) > 8 && name[:8] == "apps[0]." {
			key = "app 7: " + name[8:]
		}
		if got := before.changed(read); !slices.Equal(got, []string{key}) && v.key != "apps[0].app_id" {
			t.Errorf("%s: changed %v", v.key, got)
		}
		now := read.inForce(before)
		if taken := leaves(&now)[i].same(v); taken != live(v.key) {
			t.Errorf("%s: in force %t, live %t", v.key, taken, live(v.key))
		}
		if got := now.inForce(before).changed(now); len(got) != 0 {
			t.Errorf("%s: changed %v of itself", v.key, got)
		}
		if got := now.changed(read); live(v.key) == (len(got) == 1) {
			t.Errorf("%s: waits %v, live %t", v.key, got, live(v.key))
		}
	}
}

func ptr(c config) *config { return &c }

// What an app inherits is listed once; an app that is not in both is not listed.
func TestChangedOfSeveralApps(t *testing.T) {
	t.Parallel()
	const two = "apps:\n- {app_id: 1, server_secret: s}\n- {app_id: 2, server_secret: s, rate: 7}\n"
	for _, c := range []struct {
		before, after string
		want          []string
	}{
		{two, two, nil},
		{"zim: {rate: 5}\n" + two, "zim: {rate: 6}\n" + two, []string{"zim.rate"}},
		{two, "schedule: '@hourly'\n" + two, []string{"schedule"}},
		{two, "apps:\n- {app_id: 2, server_secret: t, rate: 8}\n- {app_id: 3, server_secret: s}\n", []string{"app 2: server_secret", "app 2: rate"}},
		{two, "apps:\n- {app_id: 1, server_secret: s, rate: 20}\n- {app_id: 2, server_secret: s}\n", []string{"app 2: rate"}},
		{"zim: {app_id: 1, server_secret: s}\n", "zim: {app_id: 1, server_secret: t, rate: 3}\nnats: {replicas: 3}\n", []string{"nats.replicas", "zim.server_secret", "zim.rate"}},
	} {
		before, faults := readText(t, c.before)
		after, faults2 := readText(t, c.after)
		if faults != nil || faults2 != nil {
			t.Fatal(faults, faults2)
		}
		if got := before.changed(after); !slices.Equal(got, c.want) {
			t.Errorf("from\n%sto\n%schanged %v, want %v", c.before, c.after, got, c.want)
		}
	}
}
