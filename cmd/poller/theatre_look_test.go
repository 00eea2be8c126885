package main

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
)

func (s *theatre) get(path string, into any) error {
	resp, err := http.Get(s.base + path)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	return json.NewDecoder(resp.Body).Decode(into)
}

// readyCheck is a check as /readyz has it.
type readyCheck struct {
	Name, Error, Mend string
	OK                bool
}

func (s *theatre) look(name string) readyCheck {
	var answer struct{ Checks []readyCheck }
	if err := s.get("/readyz", &answer); err != nil {
		return readyCheck{}
	}
	for _, c := range answer.Checks {
		if c.Name == name {
			return c
		}
	}
	return readyCheck{}
}

// series returns the values of all series.
func (s *theatre) series() map[string]string {
	values := map[string]string{}
	resp, err := http.Get(s.base + "/metrics")
	if err != nil {
		return values
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(resp.Body)
	for _, line := range strings.Split(string(text), "\n") {
		if i := strings.LastIndexByte(line, ' '); i > 0 && line[0] != '#' {
			values[line[:i]] = line[i+1:]
		}
	}
	return values
}

// moved waits until a series with these words has another value than before.
func (s *theatre) moved(words string, before map[string]string) {
	s.t.Helper()
	s.until("a series moves: "+words, func() bool {
		for name, value := range s.series() {
			if strings.Contains(name, words) && before[name] != value {
				return true
			}
		}
		return false
	})
}
