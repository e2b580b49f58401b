package join

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"
)

// TestMain lets the test binary play the other programs: the proxy when it is started under
// that name, the application and `weft run` when its first argument says so.
func TestMain(m *testing.M) {
	if filepath.Base(os.Args[0]) == "weft-proxy" {
		finish(fakeProxy())
	}
	if len(os.Args) > 2 && os.Args[1] == "play" {
		finish(play(os.Args[2], os.Args[3:]))
	}
	if code, ran := isolate(); ran {
		os.Exit(code)
	}
	// Under -race every process that ends waits for a second first; children need not.
	if err := os.Setenv("GORACE", quickExit); err != nil {
		finish(err)
	}
	goleak.VerifyTestMain(m)
}

const quickExit = "atexit_sleep_ms=0"

func finish(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
	os.Exit(0)
}
