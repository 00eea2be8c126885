package main

import (
	"fmt"
	"io"
	"strings"
)

// writeFish writes the script for fish, 3.0 and newer.
func writeFish(w io.Writer, all []place) error {
	var walk, take, offer strings.Builder
	for _, p := range all {
		if p.path != all[0].path {
			fmt.Fprintf(&walk, " %s", fishQuote(p.path))
		}
		at := "complete -c poller -n " + fishQuote("__poller_at "+fishQuote(p.path))
		for _, v := range p.words {
			fmt.Fprintf(&offer, "%s -a %s%s\n", at, fishQuote(v.text), fishHelp(v.help))
		}
		if p.files {
			fmt.Fprintf(&offer, "%s -F\n", at)
		}
		for _, f := range p.flags {
			line := at + " -l " + f.long
			if f.short != "" {
				line += " -s " + f.short
			}
			switch {
			case f.file:
				line += " -r -F"
			case len(f.values) > 0:
				line += " -x -a " + fishQuote(strings.Join(f.values, " "))
			case f.takes != "":
				line += " -x"
			}
			fmt.Fprintf(&offer, "%s%s\n", line, fishHelp(f.help))
			if f.takes == "" {
				continue
			}
			fmt.Fprintf(&take, " %s", fishQuote(p.path+" --"+f.long))
			if f.short != "" {
				fmt.Fprintf(&take, " %s", fishQuote(p.path+" -"+f.short))
			}
		}
	}
	_, err := fmt.Fprintf(w, fishScript, take.String(), walk.String(), offer.String())
	return err
}

func fishHelp(help string) string {
	if help == "" {
		return ""
	}
	return " -d " + fishQuote(help)
}

func fishQuote(text string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(text) + "'"
}

// fishScript takes: flags with a value, commands, what may follow.
const fishScript = `# Completion of poller for fish, made by: poller completion fish

# __poller_at says whether the line stands behind this command.
function __poller_at
    set -l at poller
    set -l value
    set -l takes%s
    set -l commands%s
    set -l line (commandline -opc)
    for word in $line[2..-1]
        if set -q value[1]
            set -e value[1]
            continue
        end
        if contains -- "$at $word" $takes
            set value $word
        else if contains -- "$at $word" $commands
            set at "$at $word"
        end
    end
    test "$at" = "$argv[1]"
end

complete -c poller -f
%s`
