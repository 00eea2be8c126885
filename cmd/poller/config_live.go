package main

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// live tells whether a key takes effect in a daemon that runs when it reads its configuration again. The others want a
// restart: what they say is done once, when it starts.
func live(key string) bool {
	section, _, _ := strings.Cut(settingOf(key), ".")
	return !slices.Contains([]string{"database", "nats", "data_dir", "lease", "stream", "http", "callback"}, section)
}

// inForce is the configuration, but for what only a restart applies: that is as before.
func (c config) inForce(before config) config {
	c.Database, c.NATS, c.DataDir = before.Database, before.NATS, before.DataDir
	c.Lease, c.Stream, c.HTTP, c.Callback = before.Lease, before.Stream, before.HTTP, before.Callback
	return c
}

// changed lists the keys that another configuration says differently, those of an app that both have with its id:
// app 12345: rate. What an app inherits is listed where it is inherited from. It holds no values.
func (c config) changed(other config) (keys []string) {
	before, after := c.shownByKey(), other.shownByKey()
	for _, v := range other.shown() {
		if !strings.HasPrefix(v.key, "apps[") && !v.same(before[v.key]) {
			keys = append(keys, v.key)
		}
	}
	for key := range before {
		if _, still := after[key]; !still && !strings.HasPrefix(key, "apps[") {
			keys = append(keys, key)
		}
	}
	for i := range other.Apps {
		j := slices.IndexFunc(c.Apps, func(a appConfig) bool { return a.AppID == other.Apps[i].AppID })
		if j < 0 || c.ZIM.AppID != 0 || other.ZIM.AppID != 0 {
			continue
		}
		keys = append(keys, changedOf(c, j, other, i)...)
	}
	return keys
}

// changedOf lists the keys of an app, which is the ith of one configuration and the jth of the other.
func changedOf(c config, i int, other config, j int) (keys []string) {
	before, after := structLeaves("", reflect.ValueOf(&c.Apps[i]).Elem()), structLeaves("", reflect.ValueOf(&other.Apps[j]).Elem())
	for n, v := range after {
		inherited := c.origins[fmt.Sprintf("apps[%d].%s", i, v.key)].From != "" && other.origins[fmt.Sprintf("apps[%d].%s", j, v.key)].From != ""
		if !inherited && !v.same(before[n]) {
			keys = append(keys, fmt.Sprintf("app %d: %s", other.Apps[j].AppID, v.key))
		}
	}
	return keys
}

func (c config) shownByKey() map[string]leaf {
	of := map[string]leaf{}
	for _, v := range c.shown() {
		of[v.key] = v
	}
	return of
}

// same tells whether two values are, secrets as they are.
func (l leaf) same(other leaf) bool {
	return other.ptr != nil && reflect.DeepEqual(reflect.ValueOf(l.ptr).Elem().Interface(), reflect.ValueOf(other.ptr).Elem().Interface())
}
