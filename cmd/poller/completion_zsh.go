package main

import (
	"fmt"
	"io"
	"strings"
)

// writeZsh writes the script for zsh: a function for each command.
func writeZsh(w io.Writer, all []place) error {
	var functions strings.Builder
	for i, p := range all {
		fmt.Fprintf(&functions, "\n%s() {\n", zshName(p.path))
		if len(p.words) > 0 {
			functions.WriteString("    local curcontext=\"$curcontext\" state line\n    typeset -A opt_args\n")
		}
		functions.WriteString("    _arguments -s -C")
		for _, f := range p.flags {
			fmt.Fprintf(&functions, " \\\n        %s", zshFlag(f))
		}
		below := i+1 < len(all) && strings.HasPrefix(all[i+1].path, p.path+" ")
		switch {
		case below:
			functions.WriteString(" \\\n        '1: :->command' \\\n        '*:: :->rest'\n")
			zshBelow(&functions, p)
		case len(p.words) > 0:
			fmt.Fprintf(&functions, " \\\n        '1: :(%s)'\n", zshWords(p.words))
		case p.files:
			functions.WriteString(" \\\n        '1:file:_files'\n")
		default:
			functions.WriteString("\n")
		}
		functions.WriteString("}\n")
	}
	_, err := fmt.Fprintf(w, zshScript, functions.String())
	return err
}

// zshBelow writes what is done where a command stands, and behind it.
func zshBelow(w io.Writer, p place) {
	fmt.Fprint(w, "    case $state in\n    command)\n        local -a commands=(\n")
	for _, v := range p.words {
		fmt.Fprintf(w, "            %s\n", zshQuote(strings.ReplaceAll(v.text, ":", `\:`)+":"+v.help))
	}
	fmt.Fprint(w, "        )\n        _describe -t commands command commands\n        ;;\n    rest)\n        case $words[1] in\n")
	for _, v := range p.words {
		fmt.Fprintf(w, "        %s) %s ;;\n", v.text, zshName(p.path+" "+v.text))
	}
	fmt.Fprint(w, "        esac\n        ;;\n    esac\n")
}

// zshFlag is what _arguments is told of a flag.
func zshFlag(f offeredFlag) string {
	help := "[" + strings.NewReplacer(`\`, `\\`, "[", `\[`, "]", `\]`).Replace(f.help) + "]"
	value := ""
	switch {
	case f.file:
		value = ":" + f.takes + ":_files"
	case len(f.values) > 0:
		value = ":" + f.takes + ":(" + strings.Join(f.values, " ") + ")"
	case f.takes != "":
		value = ":" + strings.ReplaceAll(f.takes, ":", `\:`) + ":"
	}
	long, short := "--"+f.long, "-"+f.short
	if f.takes != "" {
		long, short = long+"=", short+"+"
	}
	switch {
	case f.again:
		return zshQuote("*" + long + help + value)
	case f.short != "":
		return fmt.Sprintf("'(-%s --%s)'{%s,%s}%s", f.short, f.long, short, long, zshQuote(help+value))
	}
	return zshQuote(long + help + value)
}

func zshWords(words []offeredWord) string {
	var texts []string
	for _, v := range words {
		texts = append(texts, v.text)
	}
	return strings.Join(texts, " ")
}

func zshName(path string) string { return "_" + strings.NewReplacer(" ", "_", "-", "_").Replace(path) }

func zshQuote(text string) string { return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'" }

// zshScript takes the functions. It serves as a file in $fpath, and sourced.
const zshScript = `#compdef poller
# Completion of poller for zsh, made by: poller completion zsh
%s
if [ "$funcstack[1]" = _poller ]; then
    _poller "$@"
else
    compdef _poller poller
fi
`
