package audit_test

import (
	"os"
	"testing"

	"github.com/zim-presence/poller/internal/local/localtest"
)

func TestMain(m *testing.M) { os.Exit(localtest.Main(m).Run()) }
