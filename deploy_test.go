package poller_test

import (
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// What deploy grants is what docs/operations.md has, under which tests run the program.
func TestDeployPermissions(t *testing.T) {
	manual := read(t, "docs/operations.md")
	statement := regexp.MustCompile(`(?m)^(?:create|grant|revoke) [^;]*;$`)
	var want []string
	for _, s := range statement.FindAllString(manual, -1) {
		if strings.HasSuffix(s, " to poller;") && !strings.Contains(s, "on database") {
			want = append(want, s)
		}
	}
	for _, file := range []string{"deploy/compose/grants.sql", "deploy/kubernetes/base/grants.sql"} {
		if got := statement.FindAllString(read(t, file), -1); len(got) == 0 || !slices.Equal(got, want) {
			t.Errorf("%s has\n%s\nwant\n%s", file, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
	made := regexp.MustCompile(`:'\w+'`).ReplaceAllString(read(t, "deploy/compose/postgres/roles.sh"), "'secret'")
	statements := statement.FindAllString(made, -1)
	if len(statements) == 0 {
		t.Error("deploy/compose/postgres/roles.sh does nothing")
	}
	for _, s := range statements {
		if !strings.Contains(manual, s+"\n") {
			t.Errorf("deploy/compose/postgres/roles.sh has %q, and docs/operations.md has not", s)
		}
	}
	user := regexp.MustCompile(`(?s)  \{ user: (\w+),.*?subscribe: \["_INBOX\.>"\] } }`)
	known := map[string]string{}
	for _, m := range user.FindAllStringSubmatch(manual, -1) {
		known[m[1]] = m[0]
	}
	users := user.FindAllStringSubmatch(read(t, "deploy/compose/nats-users.conf"), -1)
	if len(users) == 0 {
		t.Error("deploy/compose/nats-users.conf has no users")
	}
	for _, m := range users {
		if m[0] != known[m[1]] {
			t.Errorf("the user %s of NATS is\n%s\nin deploy/compose/nats-users.conf, and in docs/operations.md\n%s", m[1], m[0], known[m[1]])
		}
	}
}

// An image has one version, wherever it is named; that of NATS is the one that the tests run against.
func TestDeployImages(t *testing.T) {
	version := regexp.MustCompile(`nats-server/v2 v(\S+)`).FindStringSubmatch(read(t, "go.mod"))
	tags := map[string]string{"nats": version[1] + "-alpine"}
	for _, file := range deployed(t) {
		for _, m := range regexp.MustCompile(`(?m)image: ([\w./-]+):([\w.-]+)$`).FindAllStringSubmatch(read(t, file), -1) {
			if tag, met := tags[m[1]]; met && tag != m[2] {
				t.Errorf("%s has %s:%s, want %s", file, m[1], m[2], tag)
			}
			tags[m[1]] = m[2]
		}
	}
	if len(tags) < 4 {
		t.Errorf("only these images were found: %v", tags)
	}
}

// Variables that deploy sets are settings, or those of the programs in the other images.
func TestDeployVariables(t *testing.T) {
	var variables []string
	for _, k := range settings(t) {
		variables = append(variables, "POLLER_"+strings.ToUpper(strings.ReplaceAll(k, ".", "_")))
	}
	ours := []string{"POLLER_CONFIG", "POLLER_IMAGE", "POLLER_VERSION", "POLLER_COMMIT"}
	for _, file := range deployed(t) {
		for _, name := range regexp.MustCompile(`\bPOLLER_[A-Z_]*[A-Z]\b`).FindAllString(read(t, file), -1) {
			if !slices.Contains(append(variables, ours...), name) {
				t.Errorf("%s sets %s, which there is not", file, name)
			}
		}
	}
}

// Every directory of deploy is said to be there, and what for.
func TestDeployDocs(t *testing.T) {
	page := read(t, "docs/install.md")
	dirs, err := filepath.Glob("deploy/*")
	if err != nil || len(dirs) == 0 {
		t.Fatal(dirs, err)
	}
	for _, dir := range dirs {
		if !strings.Contains(page, dir) {
			t.Errorf("docs/install.md says nothing of %s", dir)
		}
	}
}

// deployed are the files of deploy that are in the repository, but for the module that checks them.
func deployed(t *testing.T) (files []string) {
	t.Helper()
	err := filepath.WalkDir("deploy", func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && entry.Name() == "secrets":
			return fs.SkipDir
		case entry.IsDir():
			return enter(name)
		case entry.Name() != ".env":
			files = append(files, name)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}
