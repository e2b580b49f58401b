package node

import (
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"
)

// TestMain lets the test binary play the application inside a namespace.
func TestMain(m *testing.M) {
	if role := os.Getenv("WEFT_TEST_ROLE"); role != "" {
		if err := play(role); err != nil {
			fmt.Println("error:", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	if code, ran := isolate(); ran {
		os.Exit(code)
	}
	// Under -race every process that ends waits for a second first; children need not.
	if err := os.Setenv("GORACE", "atexit_sleep_ms=0"); err != nil {
		fmt.Println("error:", err)
		os.Exit(1)
	}
	goleak.VerifyTestMain(m)
}
