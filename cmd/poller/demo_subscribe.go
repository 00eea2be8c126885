package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/zim-presence/poller/internal/stream"
	"github.com/zim-presence/poller/presence"
)

// subscribe hears an app's events as any other program would, from the first
// one on, until ctx ends, which is no error.
func subscribe(ctx context.Context, url string, appID uint32, heard func(e presence.Event, at time.Time)) error {
	nc, err := nats.Connect(url, nats.Name("poller demo, the subscriber"), nats.MaxReconnects(-1))
	if err != nil {
		return fmt.Errorf("subscribe on %s: %w", url, err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		return fmt.Errorf("subscribe on %s: %w", url, err)
	}
	consumer, err := whenThere(ctx, js, stream.EventStreamName(appID))
	if err != nil {
		return asked(ctx, fmt.Errorf("subscribe on %s: %w", url, err))
	}
	messages, err := consumer.Messages()
	if err != nil {
		return asked(ctx, fmt.Errorf("subscribe on %s: %w", url, err))
	}
	defer messages.Stop()
	for {
		message, err := messages.Next(jetstream.NextContext(ctx))
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, jetstream.ErrNoHeartbeat):
			continue // the consumer mends itself
		case err != nil:
			return fmt.Errorf("subscribe on %s: %w", url, err)
		}
		event, err := presence.ParseEvent(message.Data())
		if err != nil {
			return fmt.Errorf("heard on %s: %w", message.Subject(), err)
		}
		heard(event, time.Now())
	}
}

// whenThere returns an ordered consumer of the events as soon as the daemon has
// made the stream.
func whenThere(ctx context.Context, js jetstream.JetStream, name string) (jetstream.Consumer, error) {
	for {
		consumer, err := js.OrderedConsumer(ctx, name, jetstream.OrderedConsumerConfig{
			FilterSubjects: []string{presence.SubjectRoot + ".>"},
		})
		if !errors.Is(err, jetstream.ErrStreamNotFound) {
			return consumer, err
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}
