package cli

import (
	"context"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	grpccodes "google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/weft-mesh/weft/cli/mesh/meshtest"
	"github.com/weft-mesh/weft/cli/render"

	"time"
)

var update = flag.Bool("update", false, "write golden files anew")

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"weft": func() {
			env := FromOS()
			env.Now = func() time.Time { return meshtest.Now }
			env.Style = render.Style{ANSI: os.Getenv("TEST_ANSI") != ""}
			os.Exit(Main(context.Background(), env, os.Args[1:]))
		},
		// exits N weft ARG...: is the exit code N? testscript itself only tells 0 from the rest.
		"exits": func() { os.Exit(runExits(os.Args[1:])) },
	})
}

// runExits runs weft in this process and compares its exit code.
func runExits(args []string) int {
	env := FromOS()
	env.Now = func() time.Time { return meshtest.Now }
	got := Main(context.Background(), env, args[2:]) // after N and "weft"
	if want := args[0]; want != itoa(got) {
		os.Stderr.WriteString("exit code " + itoa(got) + ", wanted " + want + "\n")
		return 1
	}
	return 0
}

func itoa(n int) string {
	b := []byte{}
	for ; n >= 10; n /= 10 {
		b = append([]byte{byte('0' + n%10)}, b...)
	}
	return string(append([]byte{byte('0' + n)}, b...))
}

// TestScripts runs the scripts in testdata against a control plane with a shop in it. A script
// that begins with "# control: none" has none, "empty", "hang" and "forbid" have such a one.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:           filepath.Join("testdata", "script"),
		UpdateScripts: *update,
		Setup: func(e *testscript.Env) error {
			run, err := os.MkdirTemp("", "weft-cli-") // a socket's path must be short
			if err != nil {
				return err
			}
			e.Defer(func() { _ = os.RemoveAll(run) })
			e.Setenv("WEFT_RUNTIME_DIR", run)
			e.Setenv("HOME", e.WorkDir)
			e.Setenv("RUN", run)
			return nil
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			// control NAME KIND: starts a control plane.
			"control": func(ts *testscript.TestScript, _ bool, args []string) {
				s := meshtest.Shop()
				switch args[1] {
				case "shop":
				case "broken":
					s = meshtest.Broken()
				case "busy":
					s = meshtest.Busy()
				case "empty":
					s = meshtest.Empty()
				case "hang":
					s.Hang = true
				case "forbid":
					s.Fail = status.Error(grpccodes.PermissionDenied, "uid 1000 may not ask")
				default:
					ts.Fatalf("no control plane of kind %q", args[1])
				}
				s.Start(scriptTB{ts: ts}, filepath.Join(ts.Getenv("RUN"), args[0]+".sock"))
			},
			// dead NAME: leaves the socket of a control plane that died.
			"dead": func(ts *testscript.TestScript, _ bool, args []string) {
				ts.Check(leaveSocket(filepath.Join(ts.Getenv("RUN"), args[0]+".sock")))
			},
			// clean FILE: replaces the run directory in a file by $RUN, so that it can be compared.
			"clean": func(ts *testscript.TestScript, _ bool, args []string) {
				text := strings.ReplaceAll(ts.ReadFile(args[0]), ts.Getenv("RUN"), "$RUN")
				ts.Check(os.WriteFile(ts.MkAbs(args[1]), []byte(text), 0o600))
			},
		},
	})
}
