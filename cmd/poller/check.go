package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"text/tabwriter"
)

// checkCmd is poller check: it reads the configuration as the daemon would, and nothing else. With faults its error is
// all of them (exit code 2); -o json writes them to the standard output instead, and the error has no text. Without, it
// writes the configuration in effect and where each value comes from, secrets masked.
type checkCmd struct {
	Output string `name:"output" short:"o" enum:"text,json" default:"text" help:"How to print: text or json."`
}

// Run checks the configuration that g names.
func (c *checkCmd) Run(g *globals) error {
	cfg, err := g.load(needAll)
	if c.Output == "json" {
		if err := writeJSON(g.Stdout, checkReport(cfg, err)); err != nil {
			return fmt.Errorf("write the report: %w", err)
		}
		if shown := (faults)(nil); errors.As(err, &shown) {
			return shownError{shown}
		}
		return err
	}
	if err != nil {
		return err
	}
	return writeSettings(g.Stdout, cfg)
}

// shownError are faults that were written already: what is left of them is the exit code.
type shownError struct{ faults }

// Error is empty: there is nothing more to say.
func (shownError) Error() string { return "" }

// checked is what poller check -o json writes.
type checked struct {
	OK       bool      `json:"ok"`
	Faults   faults    `json:"faults"`
	Settings []setting `json:"settings"` // in effect; empty with faults
}

// setting is one value in effect.
type setting struct {
	Key    string `json:"key"`
	Value  any    `json:"value"`  // secrets masked
	Source string `json:"source"` // default, file, env or inherited
	Env    string `json:"env,omitempty"`
	File   string `json:"file,omitempty"`
	Line   int    `json:"line,omitempty"`
	From   string `json:"from,omitempty"` // the key it was inherited from
}

func checkReport(cfg config, err error) checked {
	report := checked{OK: err == nil, Faults: faults{}, Settings: []setting{}}
	if errors.As(err, &report.Faults); err != nil {
		return report
	}
	for _, v := range cfg.shown() {
		o := cfg.origins[v.key]
		s := setting{Key: v.key, Value: v.value(), Source: "default", Env: o.Env, File: o.File, Line: o.Line, From: o.From}
		switch {
		case o.Env != "":
			s.Source = "env"
		case o.File != "":
			s.Source = "file"
		case o.From != "":
			s.Source = "inherited"
		}
		report.Settings = append(report.Settings, s)
	}
	return report
}

// shown lists the values in effect; an app given under zim is shown there.
func (c config) shown() []leaf {
	if c.ZIM.AppID != 0 {
		c.Apps = nil
	}
	return leaves(&c)
}

func writeJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

func writeSettings(w io.Writer, cfg config) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "KEY\tVALUE\tFROM")
	for _, v := range cfg.shown() {
		value := v.show()
		if value == "" {
			value = `""`
		}
		fmt.Fprintf(t, "%s\t%s\t%s\n", v.key, value, cfg.origins[v.key])
	}
	if err := t.Flush(); err != nil {
		return fmt.Errorf("write the settings: %w", err)
	}
	return nil
}
