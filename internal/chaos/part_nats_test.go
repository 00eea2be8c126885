package chaos

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/rs/zerolog"

	"github.com/zim-presence/poller/internal/local"
)

// natsPart is the NATS server, until it is asked to stop. Every message is
// synced before it is acknowledged, unless nobody cares.
func natsPart() error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	server, err := local.OpenNATS(ctx, local.NATS{
		Dir: os.Getenv("CHAOS_DIR"), Listen: os.Getenv("CHAOS_LISTEN"), Log: zerolog.New(os.Stderr).With().Timestamp().Logger(),
		Throwaway: os.Getenv("CHAOS_LAX") != "",
	})
	if err != nil {
		return err
	}
	fmt.Println(server.URL())
	<-ctx.Done()
	return server.Close()
}
