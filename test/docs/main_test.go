package docs_test

import (
	"fmt"
	"os"
	"os/exec"
	"sync"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	defer os.RemoveAll(programDir) // for a panic
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		os.RemoveAll(programDir)
		os.Exit(code)
	}))
}

var programDir string

// programs are weft and weft-proxy as this checkout has them, built once for all tests.
var programs = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "weft-docs")
	if err != nil {
		return "", err
	}
	programDir = dir
	c := exec.Command("make", "build", "BIN="+dir) // as a reader does
	c.Dir = root
	if out, err := c.CombinedOutput(); err != nil {
		return "", fmt.Errorf("make build: %w\n%s", err, out)
	}
	return dir, nil
})

// build gives the directory of the programs.
func build(t *testing.T) string {
	t.Helper()
	dir, err := programs()
	if err != nil {
		t.Fatal(err)
	}
	return dir
}
