//go:build linux

// Package flood attacks real proxies while honest clients go on beside the attack, and holds what
// the honest ones see to a bound: `weft up`, the caller's weft-proxy, an mTLS link, the callee's
// weft-proxy, an application; each proxy with one event loop, so that attackers and honest clients
// share it. Attackers know the outbound listener, as an application gone wrong does, or the link
// listener, as a peer with a certificate of the mesh does, or a stranger without one.
//
// What must hold during an attack: no honest request fails; their 99th percentile is at most twice
// what it was before, in the same run; no proxy grows by more than 64 MiB. And within a second after
// its end: the 99th percentile is at most 1.2 times what it was, memory grows no more, and none of
// the attacker's connections is left. An attacker is a process of its own and may use half of one
// core: it measures its processor time and sleeps when it is ahead.
//
// Attackers, proxies, application and honest clients share the machine, and in `make test` other
// packages' tests do too. So a control client asks the application directly, past the proxies, and
// what it loses meanwhile is added to the bound, beside 2 ms of noise: the time that a scheduler
// lets a runnable process wait on a busy machine. A window that is late is measured again, twice; if
// the control client itself has a 99th percentile above 8 ms, nobody's times are judged. And since a
// window is short, the first 150 ms of an attack, in which it makes its connections, are watched for
// failures and memory only.
//
// With WEFT_FLOOD=full nothing is allowed for: windows are longer and begin with the attack, every
// figure is printed as a table in markdown, and a miss is a failure (20 minutes on a quiet machine):
//
//	WEFT_FLOOD=full go test -v -timeout 40m ./test/flood
package flood

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

// bin is the directory of the programs under test.
var bin string

// full asks for the long variant, whose figures are published.
var full = os.Getenv("WEFT_FLOOD") == "full"

func TestMain(m *testing.M) {
	if len(os.Args) > 2 && os.Args[1] == roleArg {
		os.Exit(play(os.Args[2]))
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
	if raceEnabled {
		fmt.Println("test/flood: skipped: what it asserts are times, and the programs it attacks are built without the race detector")
		return 0, nil
	}
	if bin, err = os.MkdirTemp("", "weft-bin"); err != nil {
		return 1, err
	}
	defer os.RemoveAll(bin) //nolint:errcheck // a temporary directory
	build := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-tags", "grpcnotrace", "-o", bin+"/", "./cmd/weft", "./cmd/weft-proxy")
	build.Dir = filepath.Join("..", "..")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return 1, fmt.Errorf("building weft: %w\n%s", err, out)
	}
	raiseFiles()
	code = m.Run()
	if code == 0 {
		if err := goleak.Find(); err != nil {
			return 1, err
		}
	}
	return code, nil
}

// wantFiles is enough for 20,000 connections and what the process has beside them.
const wantFiles = 32 << 10

// raiseFiles lets this process, and so its children, have enough open files, as far as it may.
func raiseFiles() {
	var r unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &r) != nil || r.Cur >= wantFiles {
		return
	}
	_ = unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: wantFiles, Max: max(r.Max, wantFiles)}) // root may raise both
	if r.Max < wantFiles {
		_ = unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: r.Max, Max: r.Max})
	}
}

// openFiles is how many files a process may have open.
func openFiles() int {
	var r unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &r) != nil {
		return 1024
	}
	return int(min(r.Cur, 1<<20))
}
