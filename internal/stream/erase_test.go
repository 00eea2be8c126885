package stream

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/zim-presence/poller/presence"
)

const (
	victim = "v.i c>tim"        // a subject may not hold it as it is
	inFile = "v=2Ei=20c=3Etim"  // in subjects
	inData = `"v.i c>tim"`      // in bodies
	beside = "PRESENCE_ARCHIVE" // somebody else's
)

// about returns a story in which every third event is the victim's, and behind it
// one that is nobody's.
func about(last int64) []presence.Event {
	events := story(1, last)
	for i := range events {
		if i%3 == 0 {
			events[i].User.ID = victim
		}
	}
	end := events[len(events)-1]
	end.Transition = presence.Transition{Seq: last + 1, Kind: presence.KindErased, ObservedAt: end.ObservedAt, Sweep: end.Sweep}
	return append(events, end)
}

// retell tells events in the stream of a replay.
func retell(t *testing.T, b *bench, name string, events []presence.Event) {
	t.Helper()
	_, err := b.js.CreateStream(t.Context(), jetstream.StreamConfig{
		Name: ReplayStreamName(testApp, name), Subjects: []string{presence.ReplaySubjects(name, testApp) + "*.*"},
	})
	if err != nil {
		t.Fatal(err)
	}
	for i := range events {
		data, err := events[i].Data()
		if err != nil {
			t.Fatal(err)
		}
		msg := nats.NewMsg(presence.ReplaySubject(name, testApp, events[i].Kind.String(), events[i].User.ID))
		msg.Data = data
		msg.Header.Set(presence.HeaderSeq, "7")
		if _, err := b.js.PublishMsg(t.Context(), msg); err != nil {
			t.Fatal(err)
		}
	}
}

// places finds where the victim is, and how often.
func places(t *testing.T, b *bench) (found map[string]int, list []Place, copies []string) {
	t.Helper()
	list, copies, err := b.s.Places(t.Context(), victim)
	if err != nil {
		t.Fatal(err)
	}
	found = map[string]int{}
	for _, p := range list {
		mentions, err := b.s.Mentions(t.Context(), p)
		if err != nil {
			t.Fatal(err)
		}
		found[p.Stream] = len(mentions)
	}
	return found, list, copies
}

func eraseAll(t *testing.T, b *bench, list []Place) {
	t.Helper()
	for _, p := range list {
		mentions, err := b.s.Mentions(t.Context(), p)
		if err != nil {
			t.Fatal(err)
		}
		if n, err := b.s.Erase(t.Context(), p, mentions); n != len(mentions) || err != nil {
			t.Errorf("Erase of %d from %s = %d, %v", len(mentions), p.Stream, n, err)
		}
	}
}

// files returns in which files of a stream the victim stands.
func files(t *testing.T, b *bench, stream string) (names []string) {
	t.Helper()
	root := filepath.Join(b.server.StoreDir(), "jetstream", "$G", "streams", stream)
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		if bytes.Contains(data, []byte(inFile)) || bytes.Contains(data, []byte(inData)) {
			names = append(names, entry.Name())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// The victim's messages are found wherever they are, and no others; erased, they
// are gone from the streams and, where the server overwrites, from its files. The
// bucket's file keeps them, as the manual says, until it is made anew.
func TestErase(t *testing.T) {
	b := standing(t)
	events := about(300)
	appendAll(t, b.s, events)
	retell(t, b, "one", events[:60])
	retell(t, b, "two", events[1:3])
	if _, err := b.js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "COPY", Mirror: &jetstream.StreamSource{Name: b.s.name()}}); err != nil {
		t.Fatal(err)
	}
	if _, err := b.js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "A_COPY_OF_COPY", Sources: []*jetstream.StreamSource{{Name: "COPY"}}}); err != nil {
		t.Fatal(err)
	}
	if _, err := b.js.CreateStream(t.Context(), jetstream.StreamConfig{Name: beside, Subjects: []string{"presence.replay.core.>"}}); err != nil {
		t.Fatal(err)
	}
	if _, err := b.js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "ELSEWHERE", Subjects: []string{"presence.replay.core2.1.>", "presence"}}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the bucket has the victim", func() bool { found, _, _ := places(t, b); return found[BucketStreamName(testApp)] == 1 })
	found, list, copies := places(t, b)
	one, two := ReplayStreamName(testApp, "one"), ReplayStreamName(testApp, "two")
	if found[b.s.name()] != 100 || found[one] != 20 || found[two] != 0 || len(list) != 4 {
		t.Errorf("found %v, want 100 events, one key, and 20 of the first replay", found)
	}
	slices.Sort(copies)
	if want := []string{"A_COPY_OF_COPY", "COPY", beside}; !slices.Equal(copies, want) {
		t.Errorf("copies %v, want %v", copies, want)
	}
	if names := files(t, b, b.s.name()); len(names) == 0 {
		t.Fatal("the victim is in no file: this test would prove nothing")
	}
	eraseAll(t, b, list)
	eraseAll(t, b, list) // again, nothing
	if found, _, _ := places(t, b); found[b.s.name()]+found[one]+found[two]+found[BucketStreamName(testApp)] != 0 {
		t.Errorf("still there: %v", found)
	}
	at := tail(t, b.s)
	told, err := b.s.Events(t.Context(), 1, at.StreamSeq)
	if err != nil || len(told) != 201 || !at.Found || at.Seq != 301 {
		t.Errorf("%d events are left, %v, and the end is %+v, want 201 and event 301", len(told), err, at)
	}
	others := slices.DeleteFunc(slices.Clone(events), func(e presence.Event) bool { return e.User.ID == victim })
	last := lastOfEach(t, others[:200])
	data, _ := events[300].Data()
	last[presence.ErasedToken] = string(data)
	wantBucket(t, b, last)
	b.server.Restart()
	eventually(t, "the connection comes back", b.nc.IsConnected)
	wantBucket(t, b, last)
	for _, name := range []string{b.s.name(), one, two} {
		if names := files(t, b, name); len(names) > 0 {
			t.Errorf("the victim is still in %v of %s", names, name)
		}
	}
	if names := files(t, b, BucketStreamName(testApp)); len(names) == 0 {
		t.Error("the victim is in no file of the bucket any more: the manual says otherwise")
	}
	if err := b.js.DeleteKeyValue(t.Context(), BucketName(testApp)); err != nil {
		t.Fatal(err)
	}
	ensure(t, b.s)
	wantBucket(t, b, last)
	if names := files(t, b, BucketStreamName(testApp)); len(names) > 0 {
		t.Errorf("the bucket was made anew, and the victim is in %v", names)
	}
}

// The bucket trails the stream: an entry that it takes over late is waited for, and
// purged.
func TestEraseAheadOfTheBucket(t *testing.T) {
	b := standing(t)
	s, err := b.js.Stream(t.Context(), BucketStreamName(testApp))
	if err != nil {
		t.Fatal(err)
	}
	behind := s.CachedInfo().Config
	following := behind.Sources
	behind.Sources = nil
	if _, err := b.js.UpdateStream(t.Context(), behind); err != nil {
		t.Fatal(err)
	}
	appendAll(t, b.s, about(3))
	_, list, _ := places(t, b)
	erased := make(chan int)
	go func() {
		n, err := b.s.Erase(t.Context(), list[1], nil)
		if err != nil {
			t.Error(err)
		}
		erased <- n
	}()
	behind.Sources = following
	if _, err := b.js.UpdateStream(t.Context(), behind); err != nil {
		t.Fatal(err)
	}
	if n := <-erased; n != 1 {
		t.Errorf("%d messages purged, want 1", n)
	}
	eventually(t, "the bucket has caught up", func() bool { newest, err := b.s.BucketNewest(t.Context()); return err == nil && newest.Seq == 4 })
	if found, _, _ := places(t, b); found[list[1].Stream] != 0 {
		t.Errorf("the bucket has the victim: %v", found)
	}
}

// What the server refuses says so, and leaves the rest of it there.
func TestEraseRefused(t *testing.T) {
	b := standing(t)
	appendAll(t, b.s, about(30))
	for _, c := range []struct {
		change func(*jetstream.StreamConfig)
		want   error
	}{
		{func(c *jetstream.StreamConfig) { c.DenyDelete, c.DenyPurge = true, true }, ErrDenied},
		{func(c *jetstream.StreamConfig) { c.Sealed = true }, ErrAltered},
	} {
		for _, name := range []string{b.s.name(), BucketStreamName(testApp)} {
			eventually(t, "the bucket has caught up", func() bool { done, err := b.s.shows(t.Context(), false); return done && err == nil })
			s, err := b.js.Stream(t.Context(), name)
			if err != nil {
				t.Fatal(err)
			}
			cfg := s.CachedInfo().Config
			if name != b.s.name() {
				cfg.Sources = nil // or the server does not seal it
			}
			c.change(&cfg)
			if _, err := b.js.UpdateStream(t.Context(), cfg); err != nil {
				t.Fatal(err)
			}
		}
		_, list, _ := places(t, b)
		for _, p := range list {
			found, err := b.s.Mentions(t.Context(), p)
			if err != nil || len(found) == 0 {
				t.Fatalf("%d messages in %s, %v", len(found), p.Stream, err)
			}
			if n, err := b.s.Erase(t.Context(), p, found); n != 0 || !errors.Is(err, c.want) {
				t.Errorf("Erase from %s = %d, %v, want %v", p.Stream, n, err, c.want)
			}
		}
	}
}

// Where nothing stands there is nothing.
func TestPlacesWithoutStreams(t *testing.T) {
	b := newBench(t)
	found, list, copies := places(t, b)
	if len(list) != 2 || len(copies) != 0 || found[b.s.name()] != 0 {
		t.Errorf("found %v in %v and %v", found, list, copies)
	}
	eraseAll(t, b, list)
	if erased, err := b.s.Erased(t.Context()); erased != nil || err != nil {
		t.Errorf("Erased: %v, %v", erased, err)
	}
	if err := b.s.TellErased(t.Context(), presence.SeqSetOf(1), time.Now()); !errors.Is(err, ErrMissing) {
		t.Errorf("TellErased without a stream: %v, want %v", err, ErrMissing)
	}
}

// What was told as erased is read back, once, however often it was told; what
// else may come on the stream is passed over.
func TestControl(t *testing.T) {
	b := newBench(t)
	for range 2 {
		if warnings, err := b.s.EnsureControl(t.Context()); err != nil || len(warnings) > 0 {
			t.Fatalf("EnsureControl: %v, %v", warnings, err)
		}
	}
	many := make([]int64, 2*presence.MostErasedRanges)
	for i := range many {
		many[i] = int64(3*i + 100)
	}
	want := presence.SeqSetOf(many...).Union(presence.SeqSetOf(1, 2, 3, 9))
	for _, set := range []presence.SeqSet{nil, presence.SeqSetOf(1, 2, 3, 9), presence.SeqSetOf(many...), presence.SeqSetOf(1, 2, 3, 9)} {
		if err := b.s.TellErased(t.Context(), set, time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := b.js.Publish(t.Context(), presence.ControlSubject(testApp, "sweep"), []byte("{}")); err != nil {
		t.Fatal(err)
	}
	got, err := b.s.Erased(t.Context())
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("Erased: %v, %v, want %v", got, err, want)
	}
	s, err := b.js.Stream(t.Context(), ControlStreamName(testApp))
	if err != nil {
		t.Fatal(err)
	}
	if n := s.CachedInfo().State.Msgs; n != 4 {
		t.Errorf("%d messages, want one, two, and the other kind", n)
	}
	cfg := s.CachedInfo().Config
	cfg.Subjects = []string{"elsewhere"}
	if _, err := b.js.UpdateStream(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	mismatch := new(MismatchError)
	if _, err := b.s.EnsureControl(t.Context()); !errors.As(err, &mismatch) || mismatch.Differences[0].Field != "subjects" {
		t.Errorf("EnsureControl of a stream that was altered: %v", err)
	}
	if err := b.s.TellErased(t.Context(), presence.SeqSetOf(77), time.Now()); !errors.Is(err, ErrMissing) {
		t.Errorf("TellErased where no stream takes it: %v, want %v", err, ErrMissing)
	}
}

func TestMeet(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want bool
	}{
		{"a.*.c", "a.b.*", true}, {"a.>", "a.b.c", true}, {"*.*", "a.b.c", false}, {"a.b", "a.c", false}, {"a", "a.b", false}, {">", "x", true},
	} {
		if meet(c.a, c.b) != c.want || meet(c.b, c.a) != c.want {
			t.Errorf("meet(%q, %q) is not %t", c.a, c.b, c.want)
		}
	}
}
