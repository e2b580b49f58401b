//go:build linux

package interop

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"
)

// root is the top of the repository, tools where the Makefile puts other people's programs.
var (
	root  = filepath.Join("..", "..")
	tools = filepath.Join(root, ".tools")
)

// bin is the directory of the programs under test.
var bin string

func TestMain(m *testing.M) {
	code, err := buildAndRun(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// buildAndRun builds the programs as `make build` does and runs the tests.
func buildAndRun(m *testing.M) (code int, err error) {
	bin, err = os.MkdirTemp("", "weft-bin")
	if err != nil {
		return 1, err
	}
	defer os.RemoveAll(bin) //nolint:errcheck // a temporary directory
	build := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-tags", "grpcnotrace", "-o", bin+"/", "./cmd/weft", "./cmd/weft-proxy")
	build.Dir = root
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

// missing skips a test for which something is not on this machine, or fails it where all must run.
func missing(t testing.TB, what string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatalf("not on this machine, and CI must have it: %s", what)
	}
	t.Skipf("skipped: not on this machine: %s", what)
}
