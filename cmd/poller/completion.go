package main

import (
	"cmp"
	"io"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

// completionCmd is poller completion: it prints a script by which a shell completes commands, flags and their values. The
// script holds all it needs, made from the commands themselves: the shell does not start the program to complete a word.
type completionCmd struct {
	Shell string `arg:"" enum:"bash,zsh,fish" help:"The shell: bash, zsh or fish."`
}

// Help is shown below the flags' by --help.
func (completionCmd) Help() string {
	return `Prints a script. For one session:

    bash   source <(poller completion bash)
    zsh    source <(poller completion zsh)
    fish   poller completion fish | source

For all of them, write it to where your shell looks:

    bash   ~/.local/share/bash-completion/completions/poller
    zsh    a file _poller in a directory of $fpath
    fish   ~/.config/fish/completions/poller.fish

Print it again after an upgrade.`
}

// Run prints the script.
func (c *completionCmd) Run(g *globals, parsed *kong.Context) error {
	write := map[string]func(io.Writer, []place) error{"bash": writeBash, "zsh": writeZsh, "fish": writeFish}
	return write[c.Shell](g.Stdout, completionPlaces(parsed.Model.Node, nil))
}

// place is a command, and what may follow it.
type place struct {
	path  string        // as it is typed: "poller watch add"
	words []offeredWord // commands below it, or what its argument may be
	flags []offeredFlag
	files bool // its argument is a file
}

// offeredWord is something that can be typed, and what it means.
type offeredWord struct{ text, help string }

// offeredFlag is one flag of a place.
type offeredFlag struct {
	long   string // without the dashes
	short  string // one letter, or empty
	help   string
	takes  string // what its value is, such as FILE; empty: it takes none
	values []string
	file   bool
	again  bool // it may be given several times
}

// completionPlaces lists a command and all below it, from the top on. The flags of a command hold for those below it, too.
func completionPlaces(node *kong.Node, above []offeredFlag) []place {
	flags := slices.Clone(above)
	for _, f := range node.Flags {
		if !f.Hidden {
			flags = append(flags, flagsOf(f)...)
		}
	}
	here := place{path: fullPath(node), flags: flags}
	var below []place
	for _, child := range node.Children {
		if child.Hidden {
			continue
		}
		here.words = append(here.words, offeredWord{child.Name, firstSentence(child.Help)})
		inner := completionPlaces(child, flags)
		if child == node.DefaultCmd {
			here.flags = inner[0].flags
		}
		below = append(below, inner...)
	}
	for _, p := range node.Positional {
		here.files = here.files || p.Name == "file"
		for _, value := range choices(p) {
			here.words = append(here.words, offeredWord{text: value})
		}
	}
	return append([]place{here}, below...)
}

// flagsOf are the flag, and the form that says no where it has one.
func flagsOf(f *kong.Flag) []offeredFlag {
	one := offeredFlag{long: f.Name, help: firstSentence(f.Help), values: choices(f.Value), file: f.PlaceHolder == "FILE", again: f.IsCumulative()}
	if f.Short != 0 {
		one.short = string(f.Short)
	}
	if !f.IsBool() && !f.IsCounter() {
		one.takes = cmp.Or(f.PlaceHolder, strings.ToUpper(f.Name))
	}
	if f.Tag.Negatable != "" {
		return []offeredFlag{one, {long: "no-" + f.Name, help: one.help}}
	}
	return []offeredFlag{one}
}

// choices are what the value may be, where that is a list.
func choices(v *kong.Value) []string {
	if v.Enum == "" {
		return nil
	}
	return v.EnumSlice()
}

func fullPath(node *kong.Node) string {
	if node.Parent == nil {
		return node.Name
	}
	return fullPath(node.Parent) + " " + node.Name
}

// firstSentence is the first sentence of a help, without its stop.
func firstSentence(help string) string {
	first, _, _ := strings.Cut(help, ". ")
	first, _, _ = strings.Cut(first, "\n")
	return strings.TrimSuffix(first, ".")
}
