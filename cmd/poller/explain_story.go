package main

import (
	"fmt"
	"time"

	"github.com/zim-presence/poller/presence"
)

// story is what is known, in sentences: the told status and how it came to be first, then what stands against it.
func (r *explainReport) story() []string {
	r.age()
	s := &sentences{r: r, who: shown(r.UserID)}
	switch {
	case r.UserNo == 0:
		s.neverListed()
	default:
		s.told()
		s.brought()
		s.newest()
		s.waits()
		s.incident()
		s.suppressed()
		s.missed()
		s.inStream()
	}
	return s.all
}

// age notes how old what is known is.
func (r *explainReport) age() {
	var newest time.Time
	if r.SeenAt != nil {
		newest = *r.SeenAt
	}
	if a := r.newestAnswer(); a != nil && a.AskedAt.After(newest) {
		newest = a.AskedAt
	}
	if !newest.IsZero() {
		age := r.At.Sub(newest).Seconds()
		r.AgeSeconds = &age
	}
}

// newestAnswer is the newest that said a status; nil where none is known.
func (r *explainReport) newestAnswer() *daemonAnswer {
	if r.Daemon.Story == nil {
		return nil
	}
	answers := r.Daemon.Story.Answers
	for i := len(answers) - 1; i >= 0; i-- {
		if answers[i].Status != "" {
			return &answers[i]
		}
	}
	return nil
}

// sentences gathers them.
type sentences struct {
	r   *explainReport
	who string
	all []string
}

func (s *sentences) say(format string, args ...any) {
	s.all = append(s.all, fmt.Sprintf(format, args...))
}

// neverListed is of an id in the watchlist that no sweep has taken up.
func (s *sentences) neverListed() {
	if s.r.Invalid != "" {
		s.say("%s is on the watchlist since %s, and is never asked about: %s. Nothing will be told of it.", s.who, micro(*s.r.AddedAt), s.r.Invalid)
		return
	}
	s.say("%s is on the watchlist since %s, and no sweep has found it there yet. Nothing is known so far.", s.who, micro(*s.r.AddedAt))
}

// told is what subscribers believe.
func (s *sentences) told() {
	r := s.r
	state := r.found.State
	switch {
	case r.Stale:
		s.say("%s is unknown since %s: there has been no answer for longer than stale_after allows, which was told as event %d.", s.who, s.when(state.Since), state.LastSeq)
	case state.LastSeq == 0:
		s.say("%s is unknown: ZIM has not said a status yet, and nothing was told.", s.who)
	case state.Status == presence.Unknown:
		s.say("%s is unknown since %s, when it was found to have left the watchlist: event %d.", s.who, s.when(state.Since), state.LastSeq)
	default:
		s.say("%s is %s since %s.", s.who, statusWords(r.Status, r.Detail), s.when(state.Since))
	}
	switch {
	case r.AddedAt != nil && state.Watched:
		s.say("It is on the watchlist since %s.", micro(*r.AddedAt))
	case r.AddedAt != nil:
		s.say("It is on the watchlist again since %s; the next sweep asks about it.", micro(*r.AddedAt))
	case state.Watched:
		s.say("It is not on the watchlist any more; the next sweep tells it as removed, unless removals are held.")
	}
	if r.Invalid != "" {
		s.say("It is not asked about: %s.", r.Invalid)
	}
}

// brought says which event brought the status, and by which answer.
func (s *sentences) brought() {
	e := s.bringer()
	if e == nil {
		return
	}
	text := fmt.Sprintf("Event %d brought that: an answer read at %s said %s", e.Seq, micro(e.ObservedAt), statusWords(e.To, e.Detail))
	if a := s.answerAt(e.ObservedAt); a != nil {
		text += fmt.Sprintf(" (request %s)", orNone(a.RequestID))
	}
	switch {
	case e.After != nil:
		text += fmt.Sprintf("; the one asked for at %s still said %s. It changed in between.", micro(*e.After), e.From)
	default:
		text += s.before(e)
	}
	s.all = append(s.all, text)
	if e.ConfirmedAt != nil {
		s.say("That was held back, and taken for true at %s.", micro(*e.ConfirmedAt))
	}
}

// before says what was known before a baseline.
func (s *sentences) before(e *explainEvent) string {
	if e.PrevSeq == 0 {
		return ", and nothing was known before."
	}
	text := fmt.Sprintf("; before, it was unknown since event %d", e.PrevSeq)
	for i := range s.r.Events {
		if s.r.Events[i].Seq != e.PrevSeq {
			continue
		}
		switch s.r.Events[i].Kind {
		case presence.KindStale.String():
			text += ", for lack of answers"
		case presence.KindRemoved.String():
			text += ", when it had left the watchlist"
		}
	}
	return text + "."
}

// bringer is the event that brought the status, a baseline that only told it again passed over; nil where it is not
// shown, or where there is no status.
func (s *sentences) bringer() *explainEvent {
	state := &s.r.found.State
	if state.Status == presence.Unknown {
		return nil
	}
	for i := range s.r.Events {
		if e := &s.r.Events[i]; e.ObservedAt.Equal(state.Since) && e.To == s.r.Status {
			return e
		}
	}
	return nil
}

// answerAt is the answer that was read then; nil where it is not known any more.
func (s *sentences) answerAt(at time.Time) *daemonAnswer {
	if s.r.Daemon.Story == nil {
		return nil
	}
	for i := range s.r.Daemon.Story.Answers {
		if a := &s.r.Daemon.Story.Answers[i]; a.At.Equal(at) {
			return a
		}
	}
	return nil
}

// newest is what ZIM said last.
func (s *sentences) newest() {
	r := s.r
	d := r.Daemon.Story
	switch {
	case d == nil && r.SeenAt != nil:
		s.say("It is known to have been so at %s, %s ago, and perhaps later: %s", micro(*r.SeenAt), s.ago(*r.SeenAt), s.notAsked())
	case d == nil:
		s.say("What ZIM answered lately is not known: %s", s.notAsked())
	case len(d.Answers) == 0:
		s.say("The daemon that was asked knows of no request about it%s.", sinceText(d.Since))
	default:
		a := &d.Answers[len(d.Answers)-1]
		s.say("The newest request about it left %s ago: %s (request %s).", s.ago(a.AskedAt), answered(a), orNone(a.RequestID))
		if a.Status == "" {
			s.lastGood()
		}
		s.differs()
	}
	if d != nil && d.Trouble != "" {
		s.say("The check zim/%d of that daemon is red: %s.", r.AppID, d.Trouble)
	}
	if d != nil && d.Refused {
		s.say("ZIM refuses the id itself. It is asked about alone, and more and more rarely, and is missed otherwise.")
	}
	s.holder()
}

// lastGood is the newest answer that said something, behind one that did not.
func (s *sentences) lastGood() {
	if a := s.r.newestAnswer(); a != nil {
		s.say("The newest answer that said a status was asked for %s ago: %s (request %s).", s.ago(a.AskedAt), answered(a), orNone(a.RequestID))
	}
}

// differs says that the newest answer is not what is told, and that nothing waits in the database.
func (s *sentences) differs() {
	a := s.r.newestAnswer()
	if a == nil || a.Status == s.r.Status || s.r.Held != nil || s.r.found.State.AskedAt.After(a.AskedAt) {
		return
	}
	s.say("That is not what was told when the database was asked: it was being written just then, or so many are said to have gone at once that they are asked about again first.")
}

// holder says who polls the app, where it is not the daemon that was asked.
func (s *sentences) holder() {
	r := s.r
	switch d := r.Daemon.Story; {
	case r.Holder == nil:
		s.say("Nobody polls the app: no process holds its lease.")
	case r.Holder.Expires.Before(r.At):
		s.say("%s held the app's lease, which has expired at %s: nobody polls it.", r.Holder.Owner, micro(r.Holder.Expires))
	case d == nil:
		s.say("The app is polled by %s.", r.Holder.Owner)
	case !d.Holds || d.Owner != r.Holder.Owner:
		s.say("The daemon that was asked, %s, does not poll the app: %s does. Ask that one, with --from and the address of its http listener.", d.Owner, r.Holder.Owner)
	}
}

func (s *sentences) notAsked() string {
	d := s.r.Daemon
	if d.URL == "" {
		return d.Why + "."
	}
	return fmt.Sprintf("the daemon at %s could not be asked: %s.", d.URL, d.Why)
}

// waits is a change that is held back.
func (s *sentences) waits() {
	h := s.r.Held
	if h == nil {
		return
	}
	hold, name := s.r.hold.Offline, "hold.offline"
	if h.Status == presence.Online.String() {
		hold, name = s.r.hold.Online, "hold.online"
	}
	s.say("A change to %s waits to be confirmed: it was seen at %s, the answer before was asked for at %s.", statusWords(h.Status, h.Detail), micro(h.SeenAt), micro(h.After))
	if hold > 0 {
		s.say("It is told when an answer asked for at %s or later still says so (%s: %s), and dropped when one says %s again.", micro(h.SeenAt.Add(hold)), name, hold, s.r.Status)
	}
}

// inStream says what subscribers have.
func (s *sentences) inStream() {
	r := s.r
	switch {
	case r.Stream.Why != "":
		s.say("Whether it was told is not known: NATS could not be asked (%s).", r.Stream.Why)
		return
	case len(r.Events) == 0:
		return
	}
	e := &r.Events[len(r.Events)-1]
	switch e.Told {
	case "there":
		s.say("Its newest event, %d, is message %d of %s.", e.Seq, e.StreamSeq, r.Stream.Name)
	case "another event":
		s.say("Where event %d should stand, %s has another one, message %d: database or stream were restored to another state.", e.Seq, r.Stream.Name, e.StreamSeq)
	default:
		s.say("Its newest event, %d, is not in %s: %s.", e.Seq, r.Stream.Name, e.Told)
	}
	switch entry := r.Stream.Entry; {
	case r.Stream.Bucketless:
		s.say("There is no bucket.")
	case entry == nil:
		s.say("The bucket has no entry of it.")
	case entry.ID != e.ID:
		s.say("The bucket has event %d of it, and not its newest.", entry.Seq)
	default:
		s.say("The bucket has that event, too.")
	}
}

// when is a time, and how long ago that was.
func (s *sentences) when(t time.Time) string { return fmt.Sprintf("%s (%s ago)", micro(t), s.ago(t)) }

func (s *sentences) ago(t time.Time) string {
	d := max(0, s.r.At.Sub(t))
	if d < 10*time.Second {
		return d.Round(100 * time.Millisecond).String()
	}
	return d.Round(time.Second).String()
}
