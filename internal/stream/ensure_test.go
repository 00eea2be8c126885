package stream

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"
)

func TestEnsureMakesWhatIsMissing(t *testing.T) {
	b := newBench(t)
	s := open(t, b.nc, Config{AppID: testApp, MaxAge: 30 * 24 * time.Hour})
	for range 2 {
		ensure(t, s)
	}
	events := eventStream(t, b).CachedInfo().Config
	if events.Storage != jetstream.FileStorage || events.MaxAge != 720*time.Hour || events.Duplicates != 2*time.Minute ||
		events.Discard != jetstream.DiscardNew || events.Replicas != 1 || !events.AllowDirect ||
		!slices.Equal(events.Subjects, []string{"presence.v1.1234567890.*.*"}) {
		t.Errorf("event stream: %+v", events)
	}
	ensure(t, open(t, b.nc, Config{AppID: 8, MaxAge: time.Second}))
}

func TestEnsureOfTwoAtATime(t *testing.T) {
	b := newBench(t)
	errs := make(chan error, 8)
	for range cap(errs) {
		go func() {
			_, err := b.s.Ensure(t.Context())
			errs <- err
		}()
	}
	for range cap(errs) {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
}

// difference is one way in which a stream can stand other than as it is made.
type difference struct {
	name string
	// before is how it is made, after how it is updated, where that needs two steps.
	before, after func(*config)
	// fields break a promise, warned do not.
	fields, warned []string
}

func eventDifferences() []difference {
	return []difference{
		{name: "sealed", after: func(c *config) { c.Sealed = true }, fields: []string{"sealed"}, warned: []string{"deny_purge", "deny_delete"}},
		{name: "mirror", before: func(c *config) {
			*c = config{Name: c.Name, Mirror: &jetstream.StreamSource{Name: "ELSE"}, Discard: c.Discard, AllowDirect: true, Description: c.Description, Duplicates: c.Duplicates}
		}, fields: []string{"mirror", "subjects"}},
		{name: "sources", before: func(c *config) { c.Sources = []*jetstream.StreamSource{{Name: "ELSE"}} }, fields: []string{"sources"}},
		{name: "too many subjects", before: func(c *config) { c.Subjects = append(c.Subjects, "more") }, fields: []string{"subjects"}},
		{name: "other subjects", before: func(c *config) { c.Subjects = []string{"presence.v1.1234567890.online.*"} }, fields: []string{"subjects"}},
		{name: "wider subjects", before: func(c *config) { c.Subjects = []string{"presence.>"} }, fields: []string{"subjects"}},
		{name: "transform", before: func(c *config) {
			c.SubjectTransform = &jetstream.SubjectTransformConfig{Source: "presence.v1.*.*.*", Destination: "x.{{wildcard(3)}}"}
		}, fields: []string{"subject_transform"}},
		{name: "memory", before: func(c *config) { c.Storage = jetstream.MemoryStorage }, fields: []string{"storage"}},
		{name: "interest", before: func(c *config) { c.Retention = jetstream.InterestPolicy }, fields: []string{"retention"}},
		{name: "work queue", before: func(c *config) { c.Retention = jetstream.WorkQueuePolicy }, fields: []string{"retention"}},
		{name: "discard old without limits", before: func(c *config) { c.Discard = jetstream.DiscardOld }, warned: []string{"discard"}},
		{name: "discard old with messages", before: func(c *config) { c.Discard, c.MaxMsgs = jetstream.DiscardOld, 9 }, fields: []string{"discard"}, warned: []string{"max_msgs"}},
		{name: "discard old with bytes", before: func(c *config) { c.Discard, c.MaxBytes = jetstream.DiscardOld, 9000 }, fields: []string{"discard"}, warned: []string{"max_bytes"}},
		{name: "limits", before: func(c *config) { c.MaxMsgs, c.MaxBytes = 9, 9000 }, warned: []string{"max_msgs", "max_bytes"}},
		{name: "limit a subject", before: func(c *config) { c.MaxMsgsPerSubject = 3 }, fields: []string{"max_msgs_per_subject"}},
		{name: "small messages", before: func(c *config) { c.MaxMsgSize = 700 }, fields: []string{"max_msg_size"}},
		{name: "middling messages", before: func(c *config) { c.MaxMsgSize = 9000 }, warned: []string{"max_msg_size"}},
		{name: "no ack", before: func(c *config) { c.NoAck = true }, fields: []string{"no_ack"}},
		{name: "counter", before: func(c *config) { c.AllowMsgCounter, c.Discard = true, jetstream.DiscardOld }, fields: []string{"allow_msg_counter"}, warned: []string{"discard"}},
		{name: "markers", before: func(c *config) { c.SubjectDeleteMarkerTTL, c.AllowMsgTTL, c.AllowRollup = time.Minute, true, true },
			fields: []string{"subject_delete_marker_ttl"}, warned: []string{"allow_rollup_hdrs", "allow_msg_ttl"}},
		{name: "age", before: func(c *config) { c.MaxAge = time.Hour }, warned: []string{"max_age"}},
		{name: "window", before: func(c *config) { c.Duplicates = time.Second }, warned: []string{"duplicate_window"}},
		{name: "republish", before: func(c *config) { c.RePublish = &jetstream.RePublish{Destination: "copy.>"} }, warned: []string{"republish"}},
		{name: "words", before: func(c *config) { c.Description, c.Metadata = "ours", map[string]string{"team": "x"} }, warned: []string{"description", "metadata"}},
		{name: "denials", before: func(c *config) { c.DenyDelete, c.DenyPurge, c.AllowRollup = true, true, false }, warned: []string{"deny_purge", "deny_delete"}},
		{name: "rollup", before: func(c *config) { c.AllowRollup = true }, warned: []string{"allow_rollup_hdrs"}},
		{name: "compression", before: func(c *config) { c.Compression = jetstream.S2Compression }, warned: []string{"compression"}},
		{name: "no direct reads", before: func(c *config) { c.AllowDirect = false }, warned: []string{"allow_direct"}},
		{name: "consumers", before: func(c *config) { c.MaxConsumers, c.ConsumerLimits.MaxAckPending = 5, 7 }, warned: []string{"max_consumers", "consumer_limits"}},
		{name: "placement", before: func(c *config) { c.Placement = &jetstream.Placement{Tags: []string{}} }},
		{name: "newer features", before: func(c *config) {
			c.AllowMsgTTL, c.AllowAtomicPublish, c.AllowBatchPublish = true, true, true
		}, warned: []string{"allow_msg_ttl", "allow_atomic", "allow_batched"}},
		{name: "two at once", before: func(c *config) { c.NoAck, c.Storage = true, jetstream.MemoryStorage }, fields: []string{"storage", "no_ack"}},
	}
}

func bucketDifferences() []difference {
	return []difference{
		{name: "sealed", after: func(c *config) { c.Sealed = true }, fields: []string{"sealed", "deny_purge"}},
		{name: "a bucket of the usual kind", before: func(c *config) {
			*c = config{Name: c.Name, Subjects: []string{"$KV.presence_1234567890.>"}, MaxMsgsPerSubject: 1, AllowRollup: true, DenyDelete: true,
				AllowDirect: true, Discard: c.Discard, Description: c.Description, Duplicates: c.Duplicates}
		}, fields: []string{"sources", "subjects"}, warned: []string{"allow_rollup_hdrs"}},
		{name: "mirror", before: func(c *config) {
			*c = config{Name: c.Name, Mirror: &jetstream.StreamSource{Name: "PRESENCE_1234567890"}, MaxMsgsPerSubject: 1, DenyDelete: true,
				AllowDirect: true, Discard: c.Discard, Description: c.Description, Duplicates: c.Duplicates}
		}, fields: []string{"mirror", "sources"}},
		{name: "another source", before: func(c *config) { c.Sources[0].Name = "ELSE" }, fields: []string{"sources"}},
		{name: "a second source", before: func(c *config) { c.Sources = append(c.Sources, &jetstream.StreamSource{Name: "ELSE"}) }, fields: []string{"sources"}},
		{name: "no transform", before: func(c *config) { c.Sources[0].SubjectTransforms = nil }, fields: []string{"sources"}},
		{name: "another transform", before: func(c *config) {
			c.Sources[0].SubjectTransforms[0].Destination = "$KV.presence_1234567890.{{wildcard(2)}}"
		}, fields: []string{"sources"}},
		{name: "a late start", before: func(c *config) { c.Sources[0].OptStartSeq = 7 }, fields: []string{"sources"}},
		{name: "memory", before: func(c *config) { c.Storage = jetstream.MemoryStorage }, fields: []string{"storage"}},
		{name: "interest", before: func(c *config) { c.Retention = jetstream.InterestPolicy }, fields: []string{"retention"}},
		{name: "history", before: func(c *config) { c.MaxMsgsPerSubject = 5 }, fields: []string{"max_msgs_per_subject"}},
		{name: "age", before: func(c *config) { c.MaxAge = time.Hour }, fields: []string{"max_age"}},
		{name: "limits", before: func(c *config) { c.MaxMsgs, c.MaxBytes, c.MaxMsgSize = 9, 9000, 700 }, fields: []string{"max_msgs", "max_bytes", "max_msg_size"}},
		{name: "large messages", before: func(c *config) { c.MaxMsgSize = 9000 }, warned: []string{"max_msg_size"}},
		{name: "no purge", before: func(c *config) { c.DenyPurge = true }, fields: []string{"deny_purge"}},
		{name: "subject transform", before: func(c *config) {
			c.SubjectTransform = &jetstream.SubjectTransformConfig{Source: ">", Destination: "x.>"}
		}, fields: []string{"subject_transform"}},
		{name: "harmless", before: func(c *config) {
			c.DenyDelete, c.AllowDirect, c.Discard, c.Duplicates, c.NoAck = false, false, jetstream.DiscardOld, time.Second, true
		}, warned: []string{"discard", "no_ack", "duplicate_window", "allow_direct", "deny_delete"}},
	}
}

func TestEnsureComparesTheEventStream(t *testing.T) {
	b := newBench(t)
	for _, c := range eventDifferences() {
		t.Run(c.name, func(t *testing.T) { testDifference(t, b, b.s.cfg.eventStream(), c) })
	}
}

func TestEnsureComparesTheBucket(t *testing.T) {
	b := newBench(t)
	for _, c := range bucketDifferences() {
		t.Run(c.name, func(t *testing.T) { testDifference(t, b, b.s.cfg.bucketStream(), c) })
	}
}

// testDifference makes a stream that differs and looks what Ensure says of it;
// that nothing was altered; and that the mend is one that the server accepts.
func testDifference(t *testing.T, b *bench, want config, c difference) {
	made := want
	if c.before != nil {
		c.before(&made)
	}
	var stream jetstream.Stream
	var err error
	eventually(t, "the files of the last one are gone", func() bool {
		stream, err = b.js.CreateStream(t.Context(), made)
		return !isCode(err, codeStreamCreate)
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		for _, name := range []string{EventStreamName(testApp), BucketStreamName(testApp)} {
			if err := b.js.DeleteStream(t.Context(), name); err != nil && !errors.Is(err, jetstream.ErrStreamNotFound) {
				t.Error(err)
			}
		}
	}()
	if c.after != nil {
		c.after(&made)
		if stream, err = b.js.UpdateStream(t.Context(), made); err != nil {
			t.Fatal(err)
		}
	}
	before := stream.CachedInfo().Config
	warnings, err := b.s.Ensure(t.Context())
	broken := differences(t, err)
	if diff := cmp.Diff(c.fields, fields(broken)); diff != "" {
		t.Errorf("broken (-want +got):\n%s%v", diff, err)
	}
	for _, field := range c.warned {
		if !slices.ContainsFunc(warnings, func(w string) bool { return strings.HasPrefix(w, field+" of "+want.Name) }) {
			t.Errorf("no warning of %s in %q", field, warnings)
		}
	}
	if len(warnings) != len(c.warned) {
		t.Errorf("warnings %q, want about %q", warnings, c.warned)
	}
	after, err := stream.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before, after.Config); diff != "" {
		t.Errorf("Ensure altered it:\n%s", diff)
	}
	wantMended(t, b, want, broken)
}

// wantMended holds the mends against the server: it accepts the edits, and
// refuses them where the stream is to be made anew.
func wantMended(t *testing.T, b *bench, want config, broken []Difference) {
	t.Helper()
	if len(broken) == 0 || want.Name != EventStreamName(testApp) || broken[0].Field == "mirror" {
		return
	}
	editable := !slices.ContainsFunc(broken, func(d Difference) bool { return !strings.HasPrefix(d.Mend, "nats stream edit "+want.Name+" --") })
	// What cannot be taken back is harmless and stays.
	want.AllowMsgTTL = broken[0].Field == "subject_delete_marker_ttl"
	_, err := b.js.UpdateStream(t.Context(), want)
	if (err == nil) != editable {
		t.Errorf("mends %v: the server says %v", broken, err)
	}
}

func differences(t *testing.T, err error) []Difference {
	t.Helper()
	var mismatch *MismatchError
	if err == nil {
		return nil
	}
	if !errors.As(err, &mismatch) || errors.Is(err, ErrSurprise) {
		t.Fatalf("Ensure: %v", err)
	}
	for _, d := range mismatch.Differences {
		if d.Stream == "" || d.Have == d.Want || d.Breaks == "" || d.Mend == "" || !strings.Contains(err.Error(), d.Mend) {
			t.Errorf("half a difference: %+v", d)
		}
	}
	return mismatch.Differences
}

func fields(broken []Difference) (names []string) {
	for _, d := range broken {
		names = append(names, d.Field)
	}
	return names
}

func TestEnsureListsBothStreams(t *testing.T) {
	b := newBench(t)
	events, bucket := b.s.cfg.eventStream(), b.s.cfg.bucketStream()
	events.NoAck, bucket.MaxMsgsPerSubject = true, 2
	for _, cfg := range []config{events, bucket} {
		if _, err := b.js.CreateStream(t.Context(), cfg); err != nil {
			t.Fatal(err)
		}
	}
	_, err := b.s.Ensure(t.Context())
	if got, want := fields(differences(t, err)), []string{"no_ack", "max_msgs_per_subject"}; !slices.Equal(got, want) {
		t.Errorf("broken %q, want %q", got, want)
	}
}

func TestEnsureMakesNoBucketBesideABrokenStream(t *testing.T) {
	b := newBench(t)
	events := b.s.cfg.eventStream()
	events.NoAck = true
	if _, err := b.js.CreateStream(t.Context(), events); err != nil {
		t.Fatal(err)
	}
	if _, err := b.s.Ensure(t.Context()); len(differences(t, err)) != 1 {
		t.Fatal(err)
	}
	if _, err := b.js.Stream(t.Context(), BucketStreamName(testApp)); !errors.Is(err, jetstream.ErrStreamNotFound) {
		t.Errorf("the bucket's stream: %v, want none", err)
	}
}

func TestEnsureMeetsAnotherStreamOnItsSubjects(t *testing.T) {
	b := newBench(t)
	for name, subject := range map[string]string{"ONE": "presence.v1.*.online.*", "TWO": "presence.v1.1234567890.offline.*"} {
		if _, err := b.js.CreateStream(t.Context(), config{Name: name, Subjects: []string{subject}}); err != nil {
			t.Fatal(err)
		}
	}
	_, err := b.s.Ensure(t.Context())
	var names []string
	for _, d := range differences(t, err) {
		names = append(names, d.Stream)
	}
	if slices.Sort(names); !slices.Equal(names, []string{"ONE", "TWO"}) {
		t.Errorf("overlapping streams %q, want ONE and TWO: %v", names, err)
	}
}

func TestEnsureTellsTheReplicas(t *testing.T) {
	b := standing(t)
	s := open(t, b.nc, Config{AppID: testApp, Replicas: 3})
	warnings, err := s.Ensure(t.Context())
	if err != nil || len(warnings) != 2 || !strings.Contains(warnings[0], "num_replicas") {
		t.Errorf("Ensure: %q, %v; want a warning for each stream", warnings, err)
	}
}

func TestNewRefuses(t *testing.T) {
	for _, cfg := range []Config{{}, {AppID: 1, MaxAge: -1}, {AppID: 1, MaxAge: 99 * time.Millisecond}, {AppID: 1, Replicas: -1}, {AppID: 1, Replicas: 6}} {
		if _, err := New(nil, cfg, zerolog.Nop()); err == nil {
			t.Errorf("New(%+v): no error", cfg)
		}
	}
}
