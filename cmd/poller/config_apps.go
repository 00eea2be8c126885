package main

import "fmt"

const howToGiveAnApp = "set zim.app_id (POLLER_ZIM_APP_ID) and zim.server_secret (POLLER_ZIM_SERVER_SECRET), or list several under apps"

// resolveApps makes cfg.Apps the list of all apps, each complete, whichever way they were given.
func (l *loading) resolveApps() {
	c := l.cfg
	switch {
	case len(c.Apps) > 0:
		l.refuseBoth()
		for i := range c.Apps {
			l.resolveApp(fmt.Sprintf("apps[%d]", i), &c.Apps[i])
		}
		l.refuseTwins()
	case c.ZIM.AppID != 0:
		c.Apps = []appConfig{{
			AppID: c.ZIM.AppID, ServerSecret: c.ZIM.ServerSecret, ServerSecretFile: c.ZIM.ServerSecretFile,
			CallbackSecret: c.ZIM.CallbackSecret, CallbackSecretFile: c.ZIM.CallbackSecretFile,
			Schedule: c.Schedule, BaseURL: c.ZIM.BaseURL, Rate: c.ZIM.Rate, BatchSize: c.ZIM.BatchSize, Timeout: c.ZIM.Timeout,
		}}
		l.requireSecret("zim", c.ZIM.ServerSecret)
	case l.needs&needApps != 0 && !l.unreadable && !l.faulty("zim", "apps"):
		if !l.given("zim.app_id") {
			l.wrong("zim.app_id", "no app: set zim.app_id (POLLER_ZIM_APP_ID), or list several under apps")
		}
		l.requireSecret("zim", c.ZIM.ServerSecret)
	}
}

// resolveApp completes one entry of apps with its secret, and with zim and schedule where it says nothing.
func (l *loading) resolveApp(key string, a *appConfig) {
	if l.faulty(key) {
		return // no entry at all
	}
	c := l.cfg
	inherit(l, key, "schedule", "schedule", &a.Schedule, c.Schedule)
	inherit(l, key, "base_url", "zim.base_url", &a.BaseURL, c.ZIM.BaseURL)
	inherit(l, key, "rate", "zim.rate", &a.Rate, c.ZIM.Rate)
	inherit(l, key, "batch_size", "zim.batch_size", &a.BatchSize, c.ZIM.BatchSize)
	inherit(l, key, "timeout", "zim.timeout", &a.Timeout, c.ZIM.Timeout)

	l.resolveEnvSecret(key+".server_secret", &a.ServerSecret, a.ServerSecretFile, a.ServerSecretEnv)
	a.ServerSecret = resolve(l, key+".server_secret", a.ServerSecret, a.ServerSecretFile, needSecrets)
	l.resolveEnvSecret(key+".callback_secret", &a.CallbackSecret, a.CallbackSecretFile, a.CallbackSecretEnv)
	a.CallbackSecret = resolve(l, key+".callback_secret", a.CallbackSecret, a.CallbackSecretFile, needSecrets)
	if !l.given(key + ".app_id") {
		l.wrong(key, "app_id is missing")
	}
	l.requireSecret(key, a.ServerSecret)
}

func inherit[T any](l *loading, key, name, from string, into *T, value T) {
	if l.given(key + "." + name) {
		return
	}
	*into = value
	l.cfg.origins[key+"."+name] = origin{From: from}
}

// requireSecret reports an app whose secret was not given in any form. A form that was given but did not lead to a
// secret has a fault of its own already.
func (l *loading) requireSecret(key string, value secret) {
	forms := []string{key + ".server_secret", key + ".server_secret_file", key + ".server_secret_env"}
	if l.needs&needSecrets == 0 || value != "" || l.unreadable || l.faulty(forms...) {
		return
	}
	advice := "server_secret, server_secret_file or server_secret_env"
	if key == "zim" {
		advice = "zim.server_secret (POLLER_ZIM_SERVER_SECRET) or zim.server_secret_file (POLLER_ZIM_SERVER_SECRET_FILE)"
	}
	l.wrong(l.givenOf(forms[0], key+".app_id", key), "missing secret: the app needs %s", advice)
}

// refuseBoth reports an app under zim beside the list of apps: nobody could say which of the two was meant.
func (l *loading) refuseBoth() {
	z := l.cfg.ZIM
	for _, form := range []struct {
		name  string
		given bool
	}{
		{"zim.app_id", z.AppID != 0},
		{"zim.server_secret", z.ServerSecret != "" && z.ServerSecretFile == ""},
		{"zim.server_secret_file", z.ServerSecretFile != ""},
		{"zim.callback_secret", z.CallbackSecret != "" && z.CallbackSecretFile == ""},
		{"zim.callback_secret_file", z.CallbackSecretFile != ""},
	} {
		if form.given {
			advice := ""
			if l.cfg.origins[form.name].Env != "" {
				advice = ", or unset the variable"
			}
			l.wrong(form.name, "given beside apps: list the app there, or leave apps out%s", advice)
		}
	}
}

// refuseTwins reports app ids that are listed twice.
func (l *loading) refuseTwins() {
	first := map[uint32]int{}
	for i, a := range l.cfg.Apps {
		if a.AppID == 0 {
			continue
		}
		if at, twice := first[a.AppID]; twice {
			l.wrong(fmt.Sprintf("apps[%d].app_id", i), "app %d is listed already, as apps[%d]", a.AppID, at)
			continue
		}
		first[a.AppID] = i
	}
}
