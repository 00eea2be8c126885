package main

import (
	"fmt"
	"io"
	"strings"
)

// writeBash writes the script for bash, 3.2 and newer; it needs nothing of the package bash-completion.
func writeBash(w io.Writer, all []place) error {
	var walk, take, offer, value strings.Builder
	for _, p := range all {
		if p.path != all[0].path {
			fmt.Fprintf(&walk, "        %s) at=\"$at $word\" ;;\n", bashQuote(p.path))
		}
		var words, flags []string
		for _, v := range p.words {
			words = append(words, v.text)
		}
		for _, f := range p.flags {
			flags = append(flags, "--"+f.long)
			if f.takes == "" {
				continue
			}
			forms := bashQuote(p.path + " --" + f.long)
			if f.short != "" {
				forms += "|" + bashQuote(p.path+" -"+f.short)
			}
			fmt.Fprintf(&take, "    %s) return 0 ;;\n", forms)
			switch {
			case f.file:
				fmt.Fprintf(&value, "        %s) files=1 ;;\n", forms)
			case len(f.values) > 0:
				fmt.Fprintf(&value, "        %s) words=%s ;;\n", forms, bashQuote(strings.Join(f.values, " ")))
			}
		}
		files := ""
		if p.files {
			files = " files=1"
		}
		fmt.Fprintf(&offer, "    %s) words=%s flags=%s%s ;;\n",
			bashQuote(p.path), bashQuote(strings.Join(words, " ")), bashQuote(strings.Join(flags, " ")), files)
	}
	_, err := fmt.Fprintf(w, bashScript, take.String(), walk.String(), value.String(), offer.String())
	return err
}

func bashQuote(text string) string { return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'" }

// bashScript takes: flags with a value, commands, what the values are, what follows a command.
const bashScript = `# Completion of poller for bash, made by: poller completion bash

# _poller_takes says whether a flag of a command is followed by a value.
_poller_takes() {
    case "$1 $2" in
%s    esac
    return 1
}

_poller() {
    local IFS=$'\n' cur=${COMP_WORDS[COMP_CWORD]} at=poller word flag= rest= words= flags= files= i
    COMPREPLY=()
    for ((i = 1; i < COMP_CWORD; i++)); do
        word=${COMP_WORDS[i]}
        if [[ -n $flag ]]; then
            # bash takes --flag=value apart: the sign is a word of its own.
            [[ $word == = ]] || flag=
            continue
        fi
        if [[ -z $rest && $word == -- ]]; then rest=1; continue; fi
        if [[ -z $rest ]] && _poller_takes "$at" "$word"; then flag=$word; continue; fi
        case "$at $word" in
%s        esac
    done
    if [[ -n $flag ]]; then
        [[ $cur == = ]] && cur=
        case "$at $flag" in
%s        esac
    else
        case "$at" in
%s        esac
        if [[ -z $rest && $cur == -* ]]; then words=$flags files=; fi
    fi
    if [[ -n $files ]]; then
        compopt -o filenames 2>/dev/null
        COMPREPLY=($(compgen -f -- "$cur"))
        return
    fi
    COMPREPLY=($(compgen -W "${words// /$IFS}" -- "$cur"))
}

complete -F _poller poller
`
