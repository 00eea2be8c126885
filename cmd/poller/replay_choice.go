package main

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/zim-presence/poller/internal/ledger"
	"github.com/zim-presence/poller/presence"
)

// replayChoice is what a replay was asked to tell. It is kept, to be compared when it is run again: of the users no more
// than their hash, so that nobody who is erased stays in it.
type replayChoice struct {
	From      string   `json:"from,omitempty"`
	To        string   `json:"to,omitempty"`
	Users     int      `json:"users,omitempty"`
	UsersHash string   `json:"users_hash,omitempty"`
	Kinds     []string `json:"kinds,omitempty"`
	WithState bool     `json:"with_state,omitempty"`
	Snapshots bool     `json:"snapshots,omitempty"`
	Core      bool     `json:"core,omitempty"`
}

// replayAsked is the choice with what it led to when the replay was started.
type replayAsked struct {
	replayChoice
	Log    string    `json:"log"`    // in the ids of states and net changes
	Since  time.Time `json:"since"`  // when the first event was recorded; zero where that is not known
	Until  time.Time `json:"until"`  // and the last
	At     time.Time `json:"at"`     // of the state at the beginning
	Sweeps [2]int64  `json:"sweeps"` // of the first and the last snapshot
	Kept   int64     `json:"kept"`   // snapshots from the first to the last
	Untold int64     `json:"untold"` // events left out because they had not been told yet
}

// mark is unlike that of every other replay.
func (a *replayAsked) mark(row ledger.Replay) string {
	return fmt.Sprintf("%d-%s", row.Started.UnixMicro(), a.Log)
}

// readAsked reads it from a replay's row.
func readAsked(row ledger.Replay) (asked replayAsked, err error) {
	if err = json.Unmarshal(row.Asked, &asked); err != nil {
		err = fmt.Errorf("what the replay %s was asked to tell: %w", row.Name, err)
	}
	return asked, err
}

// String is the choice as flags.
func (c replayChoice) String() string {
	var words []string
	add := func(is bool, word string) {
		if is {
			words = append(words, word)
		}
	}
	add(c.From != "", "--from "+c.From)
	add(c.To != "", "--to "+c.To)
	add(c.Users > 0, fmt.Sprintf("%d users (%.8s)", c.Users, c.UsersHash))
	for _, kind := range c.Kinds {
		add(true, "--kind "+kind)
	}
	add(c.WithState, "--with-state")
	add(c.Snapshots, "--snapshots")
	add(c.Core, "--core")
	if len(words) == 0 {
		return "everything"
	}
	return strings.Join(words, " ")
}

// same tells whether two choices are one.
func (c replayChoice) same(other replayChoice) bool {
	a, errA := json.Marshal(c)
	b, errB := json.Marshal(other)
	return errA == nil && errB == nil && string(a) == string(b)
}

// choice reads the flags; users are nil for everybody, sorted, each once.
func (c *replayTellCmd) choice() (choice replayChoice, users []string, err error) {
	choice = replayChoice{From: c.From.text, To: c.To.text, WithState: c.WithState, Snapshots: c.Snapshots, Core: c.Core}
	for k := presence.KindOnline; k <= presence.KindStale; k++ {
		if slices.Contains(c.Kind, k.String()) {
			choice.Kinds = append(choice.Kinds, k.String())
		}
	}
	if users, err = c.users(); err != nil || users == nil {
		return choice, nil, err
	}
	slices.Sort(users)
	users = slices.Compact(users)
	sum := sha256.Sum256([]byte(strings.Join(users, "\n")))
	choice.Users, choice.UsersHash = len(users), hex.EncodeToString(sum[:])
	return choice, users, nil
}

func (c *replayTellCmd) users() ([]string, error) {
	users := slices.Clone(c.User)
	if c.UsersFile != "" {
		file, err := os.Open(c.UsersFile)
		if err != nil {
			return nil, usageError{err}
		}
		defer file.Close()
		lines := bufio.NewScanner(file)
		for lines.Scan() {
			if id := strings.TrimSuffix(lines.Text(), "\r"); id != "" {
				users = append(users, id)
			}
		}
		if err := lines.Err(); err != nil {
			return nil, usageError{fmt.Errorf("%s: %w", c.UsersFile, err)}
		}
		if len(users) == 0 {
			return nil, usagef("%s names nobody", c.UsersFile)
		}
	}
	if slices.Contains(users, "") {
		return nil, usagef("--user needs a user's id")
	}
	return users, nil
}

// chosen is the choice as the ledger takes it, and the ids that it does not know.
func (c replayChoice) chosen(ctx context.Context, p *ledger.Past, users []string) (chosen ledger.Choice, unknown []string, err error) {
	for _, word := range c.Kinds {
		kind, err := presence.ParseKind(word)
		if err != nil {
			return chosen, nil, err
		}
		chosen.Kinds = append(chosen.Kinds, kind)
	}
	if users == nil {
		return chosen, nil, nil
	}
	numbers, err := p.NumbersOf(ctx, users)
	chosen.Users = []int32{}
	for _, id := range users {
		if no, known := numbers[id]; known {
			chosen.Users = append(chosen.Users, int32(no))
		} else {
			unknown = append(unknown, id)
		}
	}
	return chosen, unknown, err
}
