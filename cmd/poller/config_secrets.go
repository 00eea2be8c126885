package main

import (
	"regexp"
	"strings"
)

// resolveSecrets fills the values that were given as a file to read them from.
func (l *loading) resolveSecrets() {
	c := l.cfg
	c.Database.URL = resolve(l, "database.url", c.Database.URL, c.Database.URLFile, needDatabase)
	c.NATS.URL = resolve(l, "nats.url", c.NATS.URL, c.NATS.URLFile, needNATS)
	c.ZIM.ServerSecret = resolve(l, "zim.server_secret", c.ZIM.ServerSecret, c.ZIM.ServerSecretFile, needSecrets)
	c.ZIM.CallbackSecret = resolve(l, "zim.callback_secret", c.ZIM.CallbackSecret, c.ZIM.CallbackSecretFile, needSecrets)
}

// resolve chooses between a value and the file that holds it. The environment wins over the configuration file, also
// when it says the empty string; both in the same place is a fault.
func resolve[T secret | address](l *loading, key string, value T, path string, need needs) T {
	fileKey := key + "_file"
	fromEnv, pathFromEnv := l.cfg.origins[key].Env != "", l.cfg.origins[fileKey].Env != ""
	switch {
	case path == "", fromEnv && !pathFromEnv:
		return value
	case value != "" && fromEnv == pathFromEnv:
		l.wrong(fileKey, "given beside %s: only one of them can count", sibling(key, fromEnv))
		return value
	case l.needs&need == 0:
		return ""
	}
	l.cfg.origins[key] = l.cfg.origins[fileKey]
	text, err := readLimited(path, maxSecretFile)
	if err != nil {
		l.wrong(fileKey, "%s: %v", path, err)
		return value
	}
	value = T(strings.TrimRight(string(text), "\r\n"))
	if value == "" {
		l.wrong(fileKey, "%s: is empty", path)
	} else if err := l.checkValue(leaf{key, &value}); err != nil {
		l.wrong(fileKey, "%s: what it holds %v", path, err)
	}
	return value
}

func sibling(key string, fromEnv bool) string {
	if fromEnv {
		return envName(key)
	}
	return key
}

// resolveEnvSecret reads a secret of an entry of apps from the variable that the entry names.
func (l *loading) resolveEnvSecret(key string, into *secret, file, variable string) {
	envKey := key + "_env"
	switch {
	case variable == "":
		return
	case *into != "" || file != "":
		l.wrong(envKey, "given beside another form of the secret: only one of them can count")
		return
	case !regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`).MatchString(variable) || len(variable) == secretLength:
		l.wrong(envKey, "must be the name of an environment variable, not the secret itself")
		return
	case l.needs&needSecrets == 0:
		return
	}
	value := secret(l.env[variable])
	if value == "" {
		l.wrong(envKey, "the environment variable %s is not set, or empty", variable)
		return
	}
	*into = value
	l.cfg.origins[key] = l.cfg.origins[envKey]
	if err := checkSecret(string(value)); err != nil {
		l.wrong(envKey, "the environment variable %s %v", variable, err)
	}
}

// secretLength is the length of the secrets that the vendor gives out.
const secretLength = 32
