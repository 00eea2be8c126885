package main

import (
	"fmt"
	"runtime"
	"runtime/debug"
)

// version is set by the linker in released builds.
var version = ""

// versionCmd is poller version.
type versionCmd struct {
	Output string `name:"output" short:"o" enum:"text,json" default:"text" help:"How to print: text or json."`
}

// built is which program this is, and what poller version -o json prints.
type built struct {
	Version  string `json:"version"`            // of the release; between releases also the commit
	Commit   string `json:"commit,omitempty"`   // that it was built from; empty where it was not built in a checkout
	Date     string `json:"date,omitempty"`     // of that commit, in RFC 3339 and UTC
	Modified bool   `json:"modified,omitempty"` // the checkout held changes that were not committed
	Go       string `json:"go"`
	OS       string `json:"os"`
	Arch     string `json:"arch"`
}

// Run prints the version of the program, and what it was built from and with.
func (c *versionCmd) Run(g *globals) error {
	b := whatWasBuilt(debug.ReadBuildInfo())
	if c.Output == "json" {
		return writeJSON(g.Stdout, b)
	}
	_, err := fmt.Fprintf(g.Stdout, "poller %s (%s, %s/%s)\n%s", b.Version, b.Go, b.OS, b.Arch, b.origin())
	return err
}

// origin is the line about the commit, or nothing where none is known.
func (b built) origin() string {
	if b.Commit == "" {
		return ""
	}
	changed := ""
	if b.Modified {
		changed = ", changed since"
	}
	return fmt.Sprintf("commit %s of %s%s\n", b.Commit, b.Date, changed)
}

func whatWasBuilt(info *debug.BuildInfo, known bool) built {
	b := built{Version: versionText(), Go: runtime.Version(), OS: runtime.GOOS, Arch: runtime.GOARCH}
	if !known {
		return b
	}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			b.Commit = s.Value
		case "vcs.time":
			b.Date = s.Value
		case "vcs.modified":
			b.Modified = s.Value == "true"
		}
	}
	return b
}

// versionText is what the linker was told, or else what the module says.
func versionText() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "unknown"
}
