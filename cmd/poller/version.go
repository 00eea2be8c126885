package main

import (
	"fmt"
	"runtime"
	"runtime/debug"
)

// version is set by the linker in released builds.
var version = ""

// versionCmd is poller version.
type versionCmd struct{}

// Run prints the version of the program and of what it was built with.
func (versionCmd) Run(g *globals) error {
	_, err := fmt.Fprintf(g.Stdout, "poller %s (%s, %s/%s)\n", versionText(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return err
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
