package main

import (
	"errors"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"
	"time"
)

// leaf is one value of the configuration that can be given: its key, and a pointer to the field.
type leaf struct {
	key string
	ptr any // *string, *secret, *address, *names, *bool, *int, *uint32, *float64 or *time.Duration
}

// leaves lists the values of cfg in the order of its fields, those of the apps there are as apps[0].app_id and so on.
func leaves(cfg *config) []leaf {
	return structLeaves("", reflect.ValueOf(cfg).Elem())
}

func structLeaves(prefix string, v reflect.Value) []leaf {
	var all []leaf
	for i := range v.NumField() {
		tag := v.Type().Field(i).Tag.Get("yaml")
		if tag == "" {
			continue
		}
		key, f := join(prefix, tag), v.Field(i)
		_, isNames := f.Addr().Interface().(*names)
		switch {
		case f.Kind() == reflect.Struct:
			all = append(all, structLeaves(key, f)...)
		case f.Kind() == reflect.Slice && !isNames:
			for j := range f.Len() {
				all = append(all, structLeaves(fmt.Sprintf("%s[%d]", key, j), f.Index(j))...)
			}
		default:
			all = append(all, leaf{key, f.Addr().Interface()})
		}
	}
	return all
}

// join makes the key of name within the section prefix.
func join(prefix, name string) string {
	if prefix == "" {
		return name
	}
	return prefix + "." + name
}

// settingOf is what a key means wherever it stands: the entries of apps say the same things as zim does, and each may
// have a schedule.
func settingOf(key string) string {
	if !strings.HasPrefix(key, "apps[") {
		return key
	}
	_, name, _ := strings.Cut(key, "].")
	if name == "schedule" {
		return name
	}
	return "zim." + name
}

// set parses text into the field; the field is left alone if it does not parse. The error says what was expected
// and never repeats the text.
func (l leaf) set(text string) error {
	switch p := l.ptr.(type) {
	case *string:
		*p = text
	case *secret:
		*p = secret(text)
	case *address:
		*p = address(text)
	case *names:
		*p = splitNames(text)
	case *bool:
		return parseInto(p, text, parseBool)
	case *int:
		return parseInto(p, text, parseInt)
	case *uint32:
		return parseInto(p, text, parseUint32)
	case *float64:
		return parseInto(p, text, parseNumber)
	case *time.Duration:
		return parseInto(p, text, parseDuration)
	default:
		return fmt.Errorf("has the type %T, which cannot be configured", l.ptr)
	}
	return nil
}

// isText says whether the field holds text, as against a number, a duration or a bool.
func (l leaf) isText() bool {
	switch l.ptr.(type) {
	case *string, *secret, *address:
		return true
	}
	return false
}

// takesQuotes says whether the file may have the value in quotes.
func (l leaf) takesQuotes() bool {
	_, isDuration := l.ptr.(*time.Duration)
	return l.isText() || isDuration
}

// expected says in words what the file should have here.
func (l leaf) expected() string {
	switch l.ptr.(type) {
	case *bool:
		return "must be true or false"
	case *int, *uint32:
		return "must be a whole number"
	case *float64:
		return "must be a number"
	case *time.Duration:
		return "must be a duration"
	}
	return "must be text"
}

// show is the value as text, masked where it is a secret.
func (l leaf) show() string {
	switch p := l.ptr.(type) {
	case *string:
		return *p
	case *float64:
		return strconv.FormatFloat(*p, 'g', -1, 64)
	case *time.Duration:
		return formatDuration(*p)
	case *names:
		return strings.Join(*p, ", ")
	}
	return fmt.Sprint(reflect.ValueOf(l.ptr).Elem().Interface())
}

// value is what JSON shows: numbers and bools as such, secrets masked.
func (l leaf) value() any {
	switch p := l.ptr.(type) {
	case *bool, *int, *uint32, *float64:
		return p
	case *names:
		return append([]string{}, *p...)
	}
	return l.show()
}

// splitNames is the list that a text has, divided by commas.
func splitNames(text string) (list names) {
	for part := range strings.SplitSeq(text, ",") {
		if part = strings.TrimSpace(part); part != "" {
			list = append(list, part)
		}
	}
	return list
}

func parseInto[T any](into *T, text string, parse func(string) (T, error)) error {
	v, err := parse(text)
	if err != nil {
		return err
	}
	*into = v
	return nil
}

func parseBool(text string) (bool, error) {
	switch text {
	case "true":
		return true, nil
	case "false":
		return false, nil
	}
	return false, errors.New("must be true or false")
}

func parseInt(text string) (int, error) {
	n, err := strconv.Atoi(text)
	if err != nil {
		return 0, errors.New("must be a whole number")
	}
	return n, nil
}

func parseUint32(text string) (uint32, error) {
	n, err := strconv.ParseUint(text, 10, 32)
	if err != nil {
		return 0, fmt.Errorf("must be a whole number from 1 to %d", uint32(math.MaxUint32))
	}
	return uint32(n), nil
}

func parseNumber(text string) (float64, error) {
	n, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsNaN(n) || math.IsInf(n, 0) {
		return 0, errors.New("must be a number, such as 20 or 0.5")
	}
	return n, nil
}
