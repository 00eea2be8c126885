package main

import (
	"bytes"
	"encoding/json"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"
)

func TestVersion(t *testing.T) {
	var text, object, complaint bytes.Buffer
	if code := execute(t.Context(), []string{"version"}, nil, &text, &complaint); code != 0 {
		t.Fatalf("exit code %d, %s", code, complaint.String())
	}
	if code := execute(t.Context(), []string{"version", "-o", "json"}, nil, &object, &complaint); code != 0 {
		t.Fatalf("exit code %d, %s", code, complaint.String())
	}
	var b built
	if err := json.Unmarshal(object.Bytes(), &b); err != nil {
		t.Fatal(err)
	}
	if b.Version != versionText() || b.Go != runtime.Version() || b.OS != runtime.GOOS || b.Arch != runtime.GOARCH {
		t.Errorf("json says %+v", b)
	}
	if first := "poller " + b.Version + " (" + b.Go + ", " + b.OS + "/" + b.Arch + ")\n"; !strings.HasPrefix(text.String(), first) {
		t.Errorf("text begins with %q, want %q", text.String(), first)
	}
}

func TestVersionOrigin(t *testing.T) {
	info := func(modified string) *debug.BuildInfo {
		return &debug.BuildInfo{Settings: []debug.BuildSetting{
			{Key: "vcs.revision", Value: "1e53fcc"}, {Key: "vcs.time", Value: "2026-11-23T13:05:00Z"}, {Key: "vcs.modified", Value: modified},
		}}
	}
	for _, c := range []struct {
		info *debug.BuildInfo
		want string
	}{
		{info("false"), "commit 1e53fcc of 2026-11-23T13:05:00Z\n"},
		{info("true"), "commit 1e53fcc of 2026-11-23T13:05:00Z, changed since\n"},
		{&debug.BuildInfo{}, ""},
		{nil, ""},
	} {
		if got := whatWasBuilt(c.info, c.info != nil).origin(); got != c.want {
			t.Errorf("origin of %v is %q, want %q", c.info, got, c.want)
		}
	}
}
