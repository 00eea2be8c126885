package main

import (
	"fmt"
	"reflect"
	"regexp"
	"strings"
)

// sourceFile is the text of a configuration file, for showing lines of it.
type sourceFile struct {
	name  string
	text  []byte
	lines []string
}

func newSource(name string, text []byte) sourceFile {
	return sourceFile{name: name, text: text, lines: strings.Split(string(text), "\n")}
}

// excerpt shows a line with its number and a caret below the column, both from 1. Anything that may be a secret is
// masked, and a caret within it stands at its start.
func (s sourceFile) excerpt(line, column int) string {
	if line < 1 || line > len(s.lines) {
		return ""
	}
	original := []rune(strings.TrimRight(s.lines[line-1], "\r"))
	shown := []rune(maskLine(string(original)))
	column = min(max(column, 1), len(original)+1)
	at := 0
	for at < column-1 && at < len(shown) && shown[at] == original[at] {
		at++
	}
	if behind := string(original[column-1:]); behind != "" && strings.HasSuffix(string(shown), behind) {
		at = len(shown) - (len(original) - column + 1)
	}
	under := strings.Map(func(r rune) rune {
		if r == '\t' {
			return r
		}
		return ' '
	}, string(shown[:at]))
	number := fmt.Sprintf("%4d | ", line)
	return number + string(shown) + "\n" + strings.Repeat(" ", len(number)) + under + "^"
}

// maskLine shows the values of keys that are known to hold no secret, and of nothing else: a misspelt key, a line
// without a key and a key without the space behind its colon may all have a secret beside them.
func maskLine(line string) string {
	key := regexp.MustCompile(`"([^"]*)"\s*:|'([^']*)'\s*:|([A-Za-z_][A-Za-z0-9_-]*)\s*:(?:\s|$)`)
	found := key.FindAllStringSubmatchIndex(line, -1)
	if len(found) == 0 || !onlyPunctuation(line[:found[0][0]]) {
		if onlyPunctuation(line) {
			return line
		}
		return indentOf(line) + mask
	}
	var b strings.Builder
	b.WriteString(line[:found[0][0]])
	for i, at := range found {
		end := len(line)
		if i+1 < len(found) {
			end = found[i+1][0]
		}
		name := line[max(at[2], at[4], at[6]):max(at[3], at[5], at[7])]
		b.WriteString(maskWords(line[at[0]:at[1]]))
		b.WriteString(maskValue(name, line[at[1]:end]))
	}
	return b.String()
}

// maskValue shows the value of a key with its surrounding space, or masks it.
func maskValue(key, value string) string {
	plain := strings.TrimSpace(value)
	if plain == "" || onlyPunctuation(plain) {
		return value
	}
	lower := strings.ToLower(plain)
	if !showsNoSecret(key) || strings.Contains(lower, "secret") || strings.Contains(lower, "password") ||
		strings.Contains(plain, "://") && strings.Contains(plain, "@") {
		return indentOf(value) + mask + value[len(strings.TrimRight(value, ", ")):]
	}
	return maskWords(value)
}

// maskWords masks what is too long and too even for a word: a secret beneath the wrong key.
func maskWords(text string) string {
	return regexp.MustCompile(`[0-9A-Za-z+=_-]{24,}`).ReplaceAllString(text, mask)
}

// showsNoSecret says whether a key is one of ours whose value may be shown.
func showsNoSecret(key string) bool {
	switch key {
	case "server_secret", "server_secret_env", "callback_secret", "callback_secret_env", "url":
		return false
	}
	return isLeafKey(reflect.TypeFor[config](), key)
}

// isLeafKey says whether name is the last part of the key of any value within t.
func isLeafKey(t reflect.Type, name string) bool {
	for i := range t.NumField() {
		tag, f := t.Field(i).Tag.Get("yaml"), t.Field(i).Type
		if tag != "" && f.Kind() == reflect.Slice {
			f = f.Elem()
		}
		switch {
		case tag == "":
		case f.Kind() == reflect.Struct && isLeafKey(f, name), f.Kind() != reflect.Struct && tag == name:
			return true
		}
	}
	return false
}

func onlyPunctuation(s string) bool {
	return strings.Trim(s, " \t-{}[],?:|>&") == ""
}

func indentOf(s string) string {
	return s[:len(s)-len(strings.TrimLeft(s, " \t"))]
}
