package main

import (
	"slices"
	"time"

	tea "charm.land/bubbletea/v2"
)

// frameEvery is how often the live view changes.
const frameEvery = 100 * time.Millisecond

// mostListed is how many events the live view remembers: a tall terminal's worth.
const mostListed = 300

// screen is the live view: a value that only messages change.
type screen struct {
	quit func() // ends the demo; may be called again

	width, height int // 0 until the terminal has told
	look          look
	now           time.Time // of the newest news
	news          news
	listed        []heardEvent // newest last
	warning       string       // the last
	stopping      bool
}

func newScreen(quit func()) screen {
	return screen{quit: quit, look: newLook(true), news: news{Step: "up"}}
}

// Init asks for the background, light or dark.
func (s screen) Init() tea.Cmd { return tea.RequestBackgroundColor }

// Update takes news, keys and what the terminal says of itself.
func (s screen) Update(m tea.Msg) (tea.Model, tea.Cmd) {
	switch m := m.(type) {
	case news:
		return s.tell(m, time.Now()), nil
	case tea.WindowSizeMsg:
		s.width, s.height = m.Width, m.Height
	case tea.BackgroundColorMsg:
		s.look = newLook(m.IsDark())
	case tea.KeyPressMsg:
		switch m.String() {
		case "q", "Q", "ctrl+c", "esc":
			return s.end()
		}
	}
	return s, nil
}

// end asks the demo to end, which then ends the view; asked again it gives the
// terminal back at once.
func (s screen) end() (tea.Model, tea.Cmd) {
	if s.stopping {
		return s, tea.Quit
	}
	s.stopping = true
	return s, func() tea.Msg {
		s.quit()
		return nil
	}
}

func (s screen) tell(n news, now time.Time) screen {
	s.now, s.news = now, n
	listed := slices.Concat(s.listed, n.Heard)
	s.listed = listed[max(0, len(listed)-mostListed):]
	if len(n.Warnings) > 0 {
		s.warning = n.Warnings[len(n.Warnings)-1]
	}
	return s
}

// View draws.
func (s screen) View() tea.View {
	v := tea.NewView(s.draw())
	v.AltScreen = true
	return v
}
