package stream

import "github.com/nats-io/nats.go/jetstream"

type config = jetstream.StreamConfig

// eventAspects is the table by which a standing event stream is judged.
func eventAspects(want *config) []aspect {
	return append([]aspect{
		{field: "sealed", read: func(c *config) string { return yes(c.Sealed) },
			breaks: "no event can be added"},
		{field: "mirror", read: func(c *config) string { return asJSON(c.Mirror) },
			breaks: "a mirror takes no events"},
		{field: "sources", read: func(c *config) string { return asJSON(c.Sources) },
			breaks: "messages of other streams mix with the events", edit: "--interactive"},
		{field: "subjects", read: func(c *config) string { return list(c.Subjects) },
			breaks: "it must take every event of this app and nothing else", edit: "--subjects='" + list(want.Subjects) + "'"},
		{field: "subject_transform", read: func(c *config) string { return asJSON(c.SubjectTransform) },
			breaks: "events would be stored under other subjects", edit: "--no-transform"},
		{field: "storage", read: func(c *config) string { return c.Storage.String() },
			breaks: "a restart of the server would lose the events"},
		{field: "retention", read: func(c *config) string { return c.Retention.String() },
			breaks: "events would be dropped once some consumer has them", edit: "--retention=limits",
			fixed: func(c *config) bool { return c.Retention == jetstream.WorkQueuePolicy }},
		{field: "discard", read: func(c *config) string { return c.Discard.String() },
			breaks: "with its limits of messages or bytes the oldest events would be dropped before their time", edit: "--discard=new",
			only: func(c *config) bool { return c.MaxMsgs > 0 || c.MaxBytes > 0 }},
		{field: "max_msgs_per_subject", read: func(c *config) string { return limit(c.MaxMsgsPerSubject) },
			breaks: "a user's events would be dropped or refused", edit: "--max-msgs-per-subject=-1 --no-discard-per-subject"},
		{field: "max_msg_size", read: func(c *config) string { return limit(c.MaxMsgSize) },
			breaks: "events can be larger", edit: "--max-msg-size=-1",
			only: func(c *config) bool { return c.MaxMsgSize > 0 && c.MaxMsgSize < largestEvent }},
		{field: "no_ack", read: func(c *config) string { return yes(c.NoAck) },
			breaks: "nobody would know what is stored", edit: "--ack"},
		{field: "allow_msg_counter", read: func(c *config) string { return yes(c.AllowMsgCounter) },
			breaks: "it takes counters and no events"},
		{field: "subject_delete_marker_ttl", read: func(c *config) string { return c.SubjectDeleteMarkerTTL.String() },
			breaks: "the server would write markers between the events", edit: "--subject-del-markers-ttl=0s"},
		{field: "max_msgs", read: func(c *config) string { return limit(c.MaxMsgs) }},
		{field: "max_bytes", read: func(c *config) string { return limit(c.MaxBytes) }},
		{field: "max_age", read: func(c *config) string { return c.MaxAge.String() }},
		{field: "deny_purge", read: func(c *config) string { return yes(c.DenyPurge) }},
	}, harmlessAspects()...)
}

// controlAspects is the table by which a standing control stream is judged: that of
// the events, but for how many messages of a word it keeps. One that was made before
// there were sweeps to tell keeps all, and an operator may want fewer.
func controlAspects(want *config) []aspect {
	table := eventAspects(want)
	for i := range table {
		if table[i].field == "max_msgs_per_subject" {
			table[i].breaks, table[i].edit = "what was erased would be dropped before its time", "--max-msgs-per-subject="+limit(want.MaxMsgsPerSubject)
			table[i].read = func(c *config) string {
				if c.MaxMsgsPerSubject <= 0 || c.MaxMsgsPerSubject >= leastOfAWord {
					return limit(leastOfAWord) + " or more"
				}
				return limit(c.MaxMsgsPerSubject)
			}
		}
	}
	return table
}

// bucketAspects is the table by which a standing stream of a bucket is judged.
// What it holds is derived, so making it anew mends everything.
func bucketAspects() []aspect {
	return append([]aspect{
		{field: "sealed", read: func(c *config) string { return yes(c.Sealed) },
			breaks: "the bucket would not follow the events"},
		{field: "mirror", read: func(c *config) string { return asJSON(c.Mirror) },
			breaks: "the bucket would not follow the events"},
		{field: "sources", read: func(c *config) string { return asJSON(c.Sources) },
			breaks: "the bucket would not hold the last event of each user"},
		{field: "subjects", read: func(c *config) string { return list(c.Subjects) },
			breaks: "others could write into the bucket"},
		{field: "subject_transform", read: func(c *config) string { return asJSON(c.SubjectTransform) },
			breaks: "users would be stored under other keys"},
		{field: "storage", read: func(c *config) string { return c.Storage.String() },
			breaks: "a restart of the server would empty the bucket"},
		{field: "retention", read: func(c *config) string { return c.Retention.String() },
			breaks: "users would be dropped once some consumer has them"},
		{field: "max_msgs_per_subject", read: func(c *config) string { return limit(c.MaxMsgsPerSubject) },
			breaks: "the bucket holds one event of each user"},
		{field: "max_age", read: func(c *config) string { return c.MaxAge.String() },
			breaks: "users who do not change would be dropped"},
		{field: "max_msgs", read: func(c *config) string { return limit(c.MaxMsgs) },
			breaks: "the bucket could not hold every user"},
		{field: "max_bytes", read: func(c *config) string { return limit(c.MaxBytes) },
			breaks: "the bucket could not hold every user"},
		{field: "max_msg_size", read: func(c *config) string { return limit(c.MaxMsgSize) },
			breaks: "events can be larger",
			only:   func(c *config) bool { return c.MaxMsgSize > 0 && c.MaxMsgSize < largestEvent }},
		{field: "deny_purge", read: func(c *config) string { return yes(c.DenyPurge) },
			breaks: "keys of removed users could not be purged"},
		{field: "allow_msg_counter", read: func(c *config) string { return yes(c.AllowMsgCounter) },
			breaks: "it takes counters and no events"},
		{field: "subject_delete_marker_ttl", read: func(c *config) string { return c.SubjectDeleteMarkerTTL.String() },
			breaks: "the server would write markers between the events"},
		{field: "discard", read: func(c *config) string { return c.Discard.String() }},
		{field: "no_ack", read: func(c *config) string { return yes(c.NoAck) }},
	}, harmlessAspects()...)
}

// harmlessAspects are worth a warning in both streams and break nothing: the
// poller is the only one to publish, and it uses none of them.
func harmlessAspects() []aspect {
	return []aspect{
		{field: "duplicate_window", read: func(c *config) string { return c.Duplicates.String() }},
		{field: "num_replicas", read: func(c *config) string { return limit(c.Replicas) }},
		{field: "placement", read: func(c *config) string { return asJSON(c.Placement) }},
		{field: "description", read: func(c *config) string { return c.Description }},
		{field: "metadata", read: ownMetadata},
		{field: "compression", read: func(c *config) string { return c.Compression.String() }},
		{field: "persist_mode", read: func(c *config) string { return c.PersistMode.String() }},
		{field: "max_consumers", read: func(c *config) string { return limit(c.MaxConsumers) }},
		{field: "consumer_limits", read: func(c *config) string { return asJSON(c.ConsumerLimits) }},
		{field: "republish", read: func(c *config) string { return asJSON(c.RePublish) }},
		{field: "allow_direct", read: func(c *config) string { return yes(c.AllowDirect) }},
		{field: "deny_delete", read: func(c *config) string { return yes(c.DenyDelete) }},
		{field: "allow_rollup_hdrs", read: func(c *config) string { return yes(c.AllowRollup) }},
		{field: "allow_msg_ttl", read: func(c *config) string { return yes(c.AllowMsgTTL) }},
		{field: "allow_msg_schedules", read: func(c *config) string { return yes(c.AllowMsgSchedules) }},
		{field: "allow_atomic", read: func(c *config) string { return yes(c.AllowAtomicPublish) }},
		{field: "allow_batched", read: func(c *config) string { return yes(c.AllowBatchPublish) }},
	}
}
