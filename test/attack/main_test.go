//go:build linux

// Package attack sends what only an attacker or a broken peer would send, byte by byte, to weft as
// it is shipped: `weft up` and two weft-proxy processes, the caller's and the callee's, with mTLS
// between them and a backend of the test's own that records every byte.
//
// The corpus has 19 items, one file and one test each: B1_01 to B1_09 are HTTP/2, B2_10 to B2_19
// HTTP/1.1 framing. Most are tables whose row holds the bytes, what the RFC says about them and what
// weft must do: to add a case, add a row. Rows of items 8 to 16 are also sent to HAProxy, nginx and
// Envoy in front of the same kind of backend: what weft accepts, all of them must accept, since a
// proxy that is more lenient than its neighbours is where requests are smuggled. `go test -v -run
// Differential` prints the verdicts.
//
// A peer that is not on the machine skips its column; with CI=true it must be there. Nothing leaves
// the loopback interface. Long floods beside honest traffic are in test/flood.
package attack

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// patience bounds every wait for something that comes at once when all is well.
const patience = 20 * time.Second

// work is the directory of this run: programs, configuration, sockets.
var work string

func TestMain(m *testing.M) {
	code, err := buildAndRun(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// buildAndRun builds the programs as `make build` does, runs the tests and ends what they share.
func buildAndRun(m *testing.M) (code int, err error) {
	// A short name: sockets are below.
	if work, err = os.MkdirTemp("", "wa"); err != nil {
		return 1, err
	}
	defer os.RemoveAll(work) //nolint:errcheck // a temporary directory
	build := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-tags", "grpcnotrace", "-o", work+"/", "./cmd/weft", "./cmd/weft-proxy")
	build.Dir = filepath.Join("..", "..")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return 1, fmt.Errorf("building weft: %w\n%s", err, out)
	}
	// Tests wait more than they work: slow clients, proxies that are to say nothing.
	flag.Parse()
	if f := flag.Lookup("test.parallel"); f.Value.String() == fmt.Sprint(runtime.GOMAXPROCS(0)) {
		if err := f.Value.Set("6"); err != nil {
			return 1, err
		}
	}
	code = m.Run()
	if err := endShared(); err != nil {
		return 1, err
	}
	if code == 0 {
		if err := goleak.Find(); err != nil {
			return 1, err
		}
	}
	return code, nil
}
