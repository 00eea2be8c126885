package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/goccy/go-yaml/token"
)

// needs says which parts a command cannot do without. What is given is checked in every case; only what is missing,
// and the files that a part names, matter just to those who need the part.
type needs uint8

const (
	needDatabase needs = 1 << iota // the file of database.url_file
	needNATS                       // the files of nats.*
	needApps                       // at least one app
	needSecrets                    // a secret for each app

	needAll = needDatabase | needNATS | needApps | needSecrets
)

// Files larger than these are not what they are said to be.
const (
	maxConfigFile = 256 << 10
	maxSecretFile = 64 << 10
)

// configReader reads a configuration: defaults, then the file at path (none when empty), then env.
type configReader struct {
	path  string
	env   map[string]string
	needs needs

	// parseSchedule says what is wrong with a schedule; nil: not checked.
	parseSchedule func(spec string) error
}

// read returns the whole configuration, or faults: everything that is wrong with it at once.
func (r configReader) read() (config, error) {
	cfg := defaultConfig(func(name string) string { return r.env[name] })
	l := &loading{configReader: r, cfg: &cfg}
	if r.path != "" {
		l.readFile()
	}
	l.overlayEnvironment()
	l.resolveSecrets()
	l.resolveApps()
	l.shorten()
	l.checkTogether()
	if len(l.faults) > 0 {
		l.faults.sort()
		return config{}, l.faults
	}
	return cfg, nil
}

// loading is one read in progress.
type loading struct {
	configReader
	cfg    *config
	file   sourceFile
	faults faults

	// unreadable: the file could not be read to its end, so that nothing can be said about what is missing.
	unreadable bool
}

func (l *loading) readFile() {
	text, err := readLimited(l.path, maxConfigFile)
	if err != nil {
		l.unreadable = true
		l.faults = append(l.faults, fault{File: l.path, Message: err.Error()})
		return
	}
	l.file = newSource(l.path, bytes.TrimPrefix(text, []byte("\ufeff")))
	l.decodeFile()
}

// readLimited reads a file of at most limit bytes. The error does not repeat the path.
func readLimited(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, bareError(err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, bareError(err)
	}
	if int64(len(text)) > limit {
		return nil, fmt.Errorf("is larger than %d bytes", limit)
	}
	return text, nil
}

func bareError(err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		return fmt.Errorf("cannot be read: %w", path.Err)
	}
	return fmt.Errorf("cannot be read: %w", err)
}

// note remembers that the file gave a key, and where.
func (l *loading) note(key string, t *token.Token) {
	l.cfg.origins[key] = origin{File: l.file.name, Line: t.Position.Line, Column: t.Position.Column}
}

// given says whether a key was given at all, well or badly.
func (l *loading) given(key string) bool {
	_, ok := l.cfg.origins[key]
	return ok
}

// at records a fault of the file, with line and caret.
func (l *loading) at(t *token.Token, key, message string) {
	f := fault{File: l.file.name, Key: key, Message: message}
	if t != nil && t.Position != nil {
		f.Line, f.Column = t.Position.Line, t.Position.Column
		f.Excerpt = l.file.excerpt(f.Line, f.Column)
	}
	l.faults = append(l.faults, f)
}

// wrong records a fault of a value, pointing to where the value was given: the line, the variable, or nothing for a
// default.
func (l *loading) wrong(key, format string, args ...any) {
	o := l.cfg.origins[key]
	f := fault{File: o.File, Line: o.Line, Column: o.Column, Env: o.Env, Key: key, Message: fmt.Sprintf(format, args...)}
	if o.Line > 0 {
		f.Excerpt = l.file.excerpt(o.Line, o.Column)
	}
	l.faults = append(l.faults, f)
}
