// Package follow reads the presence of an app's users as the poller tells it: the
// current state first, and then every event, without a hole between the two.
//
//	js, err := jetstream.New(nc)
//	...
//	f, err := follow.New(js, follow.Config{App: 1234567890})
//	...
//	status := map[string]presence.Status{}
//	err = f.Run(ctx, func(ctx context.Context, item follow.Item) error {
//		switch item.What {
//		case follow.Reset:
//			clear(status)
//		case follow.State, follow.Event:
//			status[item.Event.User.ID] = item.Event.To
//		case follow.Current:
//			log.Println(len(status), "users, as of event", item.Seq)
//		}
//		return nil
//	})
//
// # What is promised
//
//   - Every event of the users and kinds that were asked for is told once, in the
//     order of its number, behind a state that has everything before it. Outages of
//     the connection or of servers, and streams that are made anew, change nothing.
//   - What is missing is never passed over in silence. The numbers prove it: seq
//     where everything is read, prev_seq where the server picks out some users. What
//     cannot be read and was not told to be erased is a [*GapError].
//   - An event is told again only where the program did not say that it was done: its
//     function returned an error, or the process ended before the server had heard of
//     it. Who cannot bear that stores [Item.Seq] together with the effect, and gives it
//     as [Config.After].
//
// # Where it begins
//
// Without more, each start tells the state anew. A program that keeps its own state
// gives [Config.After] and goes on behind it. A program without a store names a
// [Config.Durable] consumer: the server then keeps how far it has come. That
// consumer is made when the state has been told to its end, so a crash before begins
// again. Behind it, events that were told and not acknowledged are told again at the
// next start, first and in order. One program at a time may use a name.
//
// # What is missing
//
// The event stream keeps events for a time, 30 days unless configured. Who has been
// away for longer gets a [*GapError], or under [BeginAgain] a [Reset] and the state.
// Events that were erased on somebody's request are holes in the numbers that are
// told in the stream PRESENCE_CONTROL_<app>: exactly those are no gap. An
// [*AnewError] says that the app's numbering began anew. It is recognised by the log
// in the events' ids, as far as the follower has seen the events before.
// A program that keeps events asks for [Config.TellErased], and deletes them too.
//
// # What it does not do
//
// It makes no stream, and needs none of the permissions to; those of the user reader
// in docs/operations.md are enough. It does not connect, and does not close the
// connection. It tells nothing in parallel: hand work on if it is slow. It keeps no
// state of the users, since programs want that in different forms. It does not read
// replays.
//
// # Versions
//
// Within v1 of the events, names and promises of this package stay. Fields may be
// added to its structs, and values to [What] only together with something in [Config]
// that asks for them. Kinds of events that are newer than the package are passed
// over, and their numbers counted: a newer poller breaks no older program.
//
// It imports package presence, nats.go and the standard library, and needs NATS 2.10
// or newer.
package follow
