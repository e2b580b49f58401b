//go:build linux

// Package process tests weft as people run it: the two programs, built once, as real processes
// beside foreign ones (nginx, Redis, Python's http.server, grpc-go), killed, interrupted and
// started again, with a ledger of every request.
//
// Each test has a mesh of its own: directories, sockets and ports. Tests end only processes that
// they started. What a test needs and the machine has not makes it skip with a line that says so.
package process

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"
)

// isolatedBin is set for tests that were started again in a network of their own; its value is bin.
const isolatedBin = "WEFT_TEST_ISOLATED_BIN"

// bin is the directory of the programs under test.
var bin string

func TestMain(m *testing.M) {
	if len(os.Args) > 2 && os.Args[1] == roleArg {
		os.Exit(play(os.Args[2], os.Args[3:]))
	}
	code, err := buildAndRun(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// buildAndRun builds the programs as `make build` does and runs the tests.
func buildAndRun(m *testing.M) (code int, err error) {
	if bin = os.Getenv(isolatedBin); bin != "" {
		if err := arriveIsolated(); err != nil {
			return 1, err
		}
		return m.Run(), nil
	}
	bin, err = os.MkdirTemp("", "weft-bin")
	if err != nil {
		return 1, err
	}
	defer os.RemoveAll(bin) //nolint:errcheck // a temporary directory
	// Another user runs the demo from here.
	if err := os.Chmod(bin, 0o755); err != nil { //nolint:gosec // it holds two programs, nothing secret
		return 1, err
	}
	build := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-tags", "grpcnotrace", "-o", bin+"/", "./cmd/weft", "./cmd/weft-proxy")
	build.Dir = filepath.Join("..", "..")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return 1, fmt.Errorf("building weft: %w\n%s", err, out)
	}
	code = m.Run()
	if code == 0 {
		if err := goleak.Find(); err != nil {
			return 1, err
		}
	}
	return code, nil
}
