//go:build linux

package attack

import (
	"crypto/sha256"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Rows that proxies do not agree on are where fuzzing should start. With -seeds they are written to the
// corpora of the fuzz targets in proxy/h1 and proxy/h2; see `go help testflag`.
var writeSeeds = flag.Bool("seeds", false, "write seeds of the fuzz targets")

// maxSeed bounds a seed: the fuzzer works best from small ones.
const maxSeed = 2 << 10

// seed writes one input of a fuzz target. args are its arguments as Go source.
func seed(t testing.TB, pkg, target string, args ...string) {
	t.Helper()
	text := "go test fuzz v1\n" + strings.Join(args, "\n") + "\n"
	if !*writeSeeds || len(text) > maxSeed {
		return
	}
	dir := filepath.Join("..", "..", "proxy", pkg, "testdata", "fuzz", target)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	name := fmt.Sprintf("%x", sha256.Sum256([]byte(text)))[:16]
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// disputed reports whether some peer takes what weft does not.
func disputed(weft string, theirs ...string) bool {
	for _, v := range theirs {
		switch v {
		case "accepts", "MALFORMED", "SMUGGLED", "TWICE":
			if weft != "accepts" {
				return true
			}
		}
	}
	return false
}

func bytesArg(s string) string { return fmt.Sprintf("[]byte(%q)", strings.ReplaceAll(s, "{id}", "x")) }

// seedFrames writes what follows the preface, for a server in one piece.
func seedFrames(t testing.TB, frames string) {
	t.Helper()
	seed(t, "h2", "FuzzFrames", "byte('\\x07')", "bool(false)", bytesArg(frames))
}
