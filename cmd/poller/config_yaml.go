package main

import (
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// decodeFile overlays cfg with the file. The library's own decoder stops at the first fault; walking the tree beside
// the struct finds every one. Anchors, aliases, merge keys and tags are refused: nothing here needs them, and a
// configuration that says what it says is easier to check.
func (l *loading) decodeFile() {
	if !utf8.Valid(l.file.text) {
		l.unreadable = true
		l.faults = append(l.faults, fault{File: l.file.name, Message: "is not UTF-8 text"})
		return
	}
	tree, err := parser.ParseBytes(l.file.text, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		l.syntaxFault(err)
		return
	}
	seen := false
	for _, doc := range tree.Docs {
		if doc.Body == nil || doc.Body.Type() == ast.NullType {
			continue
		}
		if seen {
			l.at(tokenOf(doc.Body, nil), "", "a second document: the configuration is one")
			continue
		}
		seen = true
		l.decodeSection(doc.Body, doc.Body.GetToken(), "", reflect.ValueOf(l.cfg).Elem())
	}
}

// syntaxFault reports text that is not YAML. What a broken file would have said is unknown, so that the checks that
// miss something in it are spared.
func (l *loading) syntaxFault(err error) {
	l.unreadable = true
	var at yaml.Error
	if errors.As(err, &at) {
		l.at(at.GetToken(), "", "is not YAML: "+at.GetMessage())
		return
	}
	l.faults = append(l.faults, fault{File: l.file.name, Message: "is not YAML"})
}

// decodeSection overlays the struct into with a mapping; at is where to point when it is none.
func (l *loading) decodeSection(n ast.Node, at *token.Token, key string, into reflect.Value) {
	if n.Type() == ast.NullType && key != "" {
		return // a section whose keys are all commented out
	}
	m, ok := n.(ast.MapNode)
	if !ok {
		l.unreadable = l.unreadable || key == ""
		l.at(tokenOf(n, at), key, "must be a section of keys, not "+kindOf(n))
		return
	}
	seen := map[string]int{}
	for entries := m.MapRange(); entries.Next(); {
		keyToken := entries.Key().GetToken()
		name, ok := entries.Key().(*ast.StringNode)
		if !ok {
			l.at(keyToken, key, "a key must be a plain word, not "+kindOf(entries.Key()))
			continue
		}
		if line, twice := seen[name.Value]; twice {
			l.at(keyToken, join(key, printable(name.Value)), fmt.Sprintf("given twice, first in line %d", line))
			continue
		}
		seen[name.Value] = keyToken.Position.Line
		field, ok := fieldByKey(into, name.Value)
		if !ok {
			l.at(keyToken, join(key, printable(name.Value)), "unknown key"+didYouMean(name.Value, fieldKeys(into)))
			continue
		}
		l.decodeValue(entries.Value(), keyToken, join(key, name.Value), field)
	}
}

func (l *loading) decodeValue(n ast.Node, at *token.Token, key string, field reflect.Value) {
	list, isNames := field.Addr().Interface().(*names)
	switch {
	case isNames:
		l.decodeNames(n, at, key, list)
	case field.Kind() == reflect.Struct:
		l.decodeSection(n, at, key, field)
	case field.Kind() == reflect.Slice:
		l.decodeList(n, at, key, field)
	default:
		l.decodeLeaf(n, at, leaf{key, field.Addr().Interface()})
	}
}

func (l *loading) decodeList(n ast.Node, at *token.Token, key string, field reflect.Value) {
	if n.Type() == ast.NullType {
		return
	}
	list, ok := n.(*ast.SequenceNode)
	if !ok {
		l.at(tokenOf(n, at), key, "must be a list, each entry behind a dash, not "+kindOf(n))
		return
	}
	field.Set(reflect.MakeSlice(field.Type(), len(list.Values), len(list.Values)))
	for i, entry := range list.Values {
		entryKey := fmt.Sprintf("%s[%d]", key, i)
		if i < len(list.Entries) && list.Entries[i].Start != nil {
			at = list.Entries[i].Start
		}
		l.note(entryKey, tokenOf(entry, at))
		if entry.Type() == ast.NullType {
			l.at(tokenOf(entry, at), entryKey, "has no keys")
			continue
		}
		l.decodeSection(entry, at, entryKey, field.Index(i))
	}
}

// decodeNames overlays a list of words.
func (l *loading) decodeNames(n ast.Node, at *token.Token, key string, into *names) {
	l.note(key, tokenOf(n, at))
	list, ok := n.(*ast.SequenceNode)
	if !ok {
		l.at(tokenOf(n, at), key, "must be a list, such as [a, b], not "+kindOf(n))
		return
	}
	*into = nil
	for _, entry := range list.Values {
		var word string
		text, err := scalarText(entry, leaf{key, &word})
		if err == nil {
			err = l.checkValue(leaf{key, &names{text}})
		}
		if err != nil {
			l.at(tokenOf(entry, at), key, err.Error())
			continue
		}
		*into = append(*into, text)
	}
}

func (l *loading) decodeLeaf(n ast.Node, at *token.Token, into leaf) {
	valueToken := tokenOf(n, at)
	l.note(into.key, valueToken)
	text, err := scalarText(n, into)
	if err == nil {
		err = into.set(text)
	}
	if err == nil {
		err = l.checkValue(into)
	}
	if err != nil {
		l.at(valueToken, into.key, err.Error())
	}
}

// scalarText is what the file says for a leaf, if it is of the right kind. Text is never made of a number, nor a
// number of text: the hexadecimal secret 12e45678 is no number, whatever a YAML reader thinks, and must be quoted.
func scalarText(n ast.Node, into leaf) (string, error) {
	switch n := n.(type) {
	case *ast.StringNode:
		if quoted := n.Token.Type != token.StringType; quoted && !into.takesQuotes() {
			return "", errors.New(into.expected() + ", without quotes")
		}
		return n.Value, nil
	case *ast.LiteralNode:
		return n.Value.Value, nil
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.InfinityNode, *ast.NanNode:
		if into.isText() {
			return "", fmt.Errorf("must be text, not %s: put it in quotes", kindOf(n))
		}
		return n.GetToken().Value, nil
	case *ast.NullNode:
		return "", errors.New(`has no value: write "" for empty, or leave the key out for the default`)
	}
	return "", errors.New(into.expected() + ", not " + kindOf(n))
}

// tokenOf is the token to point at for n, or at when n stands nowhere itself.
func tokenOf(n ast.Node, at *token.Token) *token.Token {
	switch n := n.(type) {
	case *ast.NullNode:
		return at
	case *ast.MappingNode:
		if !n.IsFlowStyle && len(n.Values) > 0 {
			return tokenOf(n.Values[0].Key, at)
		}
	case *ast.MappingValueNode:
		return tokenOf(n.Key, at)
	}
	if t := n.GetToken(); t != nil && t.Position != nil {
		return t
	}
	return at
}

// kindOf names what was found, in words of people.
func kindOf(n ast.Node) string {
	switch n.Type() {
	case ast.MappingType, ast.MappingValueType:
		return "a section of keys"
	case ast.SequenceType:
		return "a list"
	case ast.StringType, ast.LiteralType:
		return "text"
	case ast.IntegerType, ast.FloatType, ast.InfinityType, ast.NanType:
		return "a number"
	case ast.BoolType:
		return "true or false"
	case ast.NullType:
		return "nothing"
	case ast.AnchorType, ast.AliasType, ast.MergeKeyType, ast.TagType:
		return "an anchor, alias, merge key or tag (these are not supported)"
	}
	return n.Type().YAMLName()
}

// printable is a key as a message may show it: a key without the space behind its colon has its value in it.
func printable(key string) string {
	if regexp.MustCompile(`^[A-Za-z0-9_-]{1,24}$`).MatchString(key) {
		return key
	}
	return "(a key that is no word; a colon and a space part key and value)"
}

func fieldByKey(v reflect.Value, key string) (reflect.Value, bool) {
	for i := range v.NumField() {
		if key != "" && v.Type().Field(i).Tag.Get("yaml") == key {
			return v.Field(i), true
		}
	}
	return reflect.Value{}, false
}

func fieldKeys(v reflect.Value) []string {
	var keys []string
	for i := range v.NumField() {
		if tag := v.Type().Field(i).Tag.Get("yaml"); tag != "" {
			keys = append(keys, tag)
		}
	}
	return keys
}
