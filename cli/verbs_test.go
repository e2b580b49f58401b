package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/weft-mesh/weft/cli/mesh"
	"github.com/weft-mesh/weft/cli/mesh/meshtest"
	"github.com/weft-mesh/weft/cli/place"
	"github.com/weft-mesh/weft/codes"
	"github.com/weft-mesh/weft/control"
	"github.com/weft-mesh/weft/join"
)

// world is an environment for verbs that run something, with a control plane of the given kind.
type world struct {
	Env
	out, err bytes.Buffer
	run      string
}

func newWorld(t *testing.T, s *meshtest.Server) *world {
	t.Helper()
	run, err := os.MkdirTemp("", "weft-w-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(run) })
	w := &world{run: run}
	getenv := func(k string) string { return map[string]string{"WEFT_RUNTIME_DIR": run, "XDG_STATE_HOME": run}[k] }
	w.Env = Env{
		Stdout: &w.out, Stderr: &w.err, Getenv: getenv, Now: func() time.Time { return meshtest.Now }, Dial: dial,
		Dirs: place.Dirs{UID: os.Geteuid(), Getenv: getenv, TmpDir: t.TempDir()},
	}
	if s != nil {
		s.Start(t, w.Dirs.Socket(place.DefaultMesh))
	}
	return w
}

func (w *world) main(args ...string) int { return Main(context.Background(), w.Env, args) }

func TestRunHandsEverythingToJoinAndGivesItsExitCode(t *testing.T) {
	w := newWorld(t, meshtest.Shop())
	var got join.Options
	w.Join = func(_ context.Context, at place.Target, token string, o join.Options) (int, error) {
		got = o
		if at.Socket != w.Dirs.Socket("default") || token != "" {
			t.Errorf("joined at %+v with token %q", at, token)
		}
		return 42, nil
	}
	code := w.main("run", "--name", "cart", "--port", "8081", "--port", "admin=9000:grpc", "-n", "shop", "--label", "version=v2", "--", "./cart", "-v", "--port", "7")
	if code != 42 || w.err.Len() > 0 {
		t.Errorf("exit code %d, stderr %q", code, w.err.String())
	}
	if !slices.Equal(got.Command, []string{"./cart", "-v", "--port", "7"}) {
		t.Errorf("command = %q", got.Command)
	}
	if len(got.Ports) != 2 || got.Ports[0].Number != 8081 || got.Ports[1] != (join.Port{Name: "admin", Number: 9000, Protocol: "grpc"}) {
		t.Errorf("ports = %+v", got.Ports)
	}
	if got.Namespace != "shop" || got.Labels["version"] != "v2" || got.RuntimeDir != w.run || got.StateDir == "" {
		t.Errorf("options = %+v", got)
	}
}

func TestRunNamesTheWorkloadAfterItsCommand(t *testing.T) {
	for _, c := range []struct {
		command, name string // name: "" if there is none
	}{{"./web", "web"}, {"true", "true"}, {"/usr/bin/python3", "python3"}, {"./my_app", ""}, {"./Web", ""}, {"/", ""}} {
		w := newWorld(t, meshtest.Shop())
		var got join.Options
		w.Join = func(_ context.Context, _ place.Target, _ string, o join.Options) (int, error) { got = o; return 0, nil }
		code := w.main("run", "--", c.command)
		switch said := w.err.String(); {
		case got.Name != c.name:
			t.Errorf("%s: named %q, want %q", c.command, got.Name, c.name)
		case c.name != "" && (code != ExitOK || !strings.Contains(said, "named "+c.name+",")):
			t.Errorf("%s: exit code %d, stderr %q", c.command, code, said)
		case c.name == "" && (code != ExitUsage || !strings.Contains(said, "error W4102") || !strings.Contains(said, "--name NAME -- "+c.command)):
			t.Errorf("%s: exit code %d, stderr %q", c.command, code, said)
		}
	}
}

func TestRunExitsByTheReason(t *testing.T) {
	for code, want := range map[string]int{
		"W2104": ExitForbidden, "W2103": ExitForbidden, "W2102": ExitForbidden, "W4102": ExitUsage, "W4101": ExitUsage,
		"W2201": ExitUnreachable, "W4111": ExitFailed,
	} {
		w := newWorld(t, meshtest.Shop())
		w.Join = func(context.Context, place.Target, string, join.Options) (int, error) {
			return 1, &codes.Error{Code: code, What: "so it is"}
		}
		if got := w.main("run", "--name", "cart", "./cart"); got != want || !strings.Contains(w.err.String(), "error "+code) {
			t.Errorf("%s: exit code %d, want %d; stderr %q", code, got, want, w.err.String())
		}
	}
}

func TestNamesAreJudgedBeforeTheControlPlaneIsAsked(t *testing.T) {
	for _, o := range []join.Options{
		{Name: "Web", Command: []string{"x"}}, {Name: "web", Namespace: "a.b", Command: []string{"x"}}, {Name: "web", ServiceAccount: "-", Command: []string{"x"}},
	} {
		_, err := joinMesh(t.Context(), place.Target{Socket: "/nowhere"}, "", o)
		if e := (*codes.Error)(nil); !errors.As(err, &e) || e.Code != "W4102" {
			t.Errorf("%+v: %v, want W4102", o, err)
		}
	}
}

func TestRunShowsTheCodedErrorOfJoin(t *testing.T) {
	w := newWorld(t, meshtest.Shop())
	w.Join = func(context.Context, place.Target, string, join.Options) (int, error) {
		return 1, &codes.Error{Code: "W4110", What: "the weft-proxy program was not found"}
	}
	if code := w.main("run", "--name", "cart", "./cart"); code != ExitFailed || !strings.Contains(w.err.String(), "error W4110") {
		t.Errorf("exit code %d, stderr %q", code, w.err.String())
	}
	if code := w.main("run", "--name", "cart", "--port", "http", "./cart"); code != ExitUsage || !strings.Contains(w.err.String(), "--port") {
		t.Errorf("a port that is none: exit code %d, stderr %q", code, w.err.String())
	}
}

func TestUpTellsWhatWasLoadedAndWhatChanges(t *testing.T) {
	w := newWorld(t, nil)
	dir := t.TempDir()
	problem := &codes.Error{Code: "W1004", What: "unknown kind \"Foo\"", Why: "kind is \"Foo\"", Where: "a.yaml:1:7", Next: []string{"weft check " + dir}}
	other := &codes.Error{Code: "W1002", What: "b.yaml is not YAML", Where: "b.yaml:2"}
	w.Up = func(_ context.Context, o UpOptions) error {
		if o.Dir != dir || o.StateDir == "" || o.Socket != w.Dirs.Socket("default") {
			t.Errorf("options = %+v", o)
		}
		o.Started(control.Started{Socket: "/run/x.sock", TrustDomain: "weft.local", RootCreated: true, Services: 2, Routes: 1, Files: 3, Problems: []*codes.Error{problem}})
		o.Reloaded(control.Reloaded{Routes: 3, Live: 4, Connected: 4, Took: 35 * time.Millisecond, Problems: []*codes.Error{problem}})
		o.Reloaded(control.Reloaded{Problems: []*codes.Error{problem}, Live: 4, Connected: 4})
		o.Reloaded(control.Reloaded{Problems: []*codes.Error{other}, Live: 4, Connected: 4})
		o.Reloaded(control.Reloaded{Services: 1, Live: 3, Connected: 4, Took: 5 * time.Second})
		o.Reloaded(control.Reloaded{Endpoints: 2, Live: 4, Connected: 4, Took: 2 * time.Millisecond})
		return errors.New("stop here")
	}
	if code := w.main("up", dir); code != ExitFailed {
		t.Errorf("exit code %d", code)
	}
	want := `weft is up: 2 services and 1 route from 3 files in DIR
  socket  /run/x.sock
  mesh    weft.local, new: a root certificate was made
  stop    Ctrl-C; proxies go on with what they have
  next    weft run --name NAME --port PORT -- ./command
error W1004: unknown kind "Foo"
  why   kind is "Foo"
  where a.yaml:1:7
  next  weft check DIR
reloaded: 3 routes changed, live at 4 proxies in 35 ms
reloaded: nothing changed
error W1002: b.yaml is not YAML
  where b.yaml:2
reloaded: 1 service changed, live at 3 of 4 proxies after 5.0 s; see  weft status
all problems are mended
reloaded: the endpoints of 2 services changed, live at 4 proxies in 2.0 ms
`
	if got := strings.ReplaceAll(w.out.String(), dir, "DIR"); got != want {
		t.Errorf("it said\n%s\nwanted\n%s", got, want)
	}
}

func TestUpRefusesWhatCannotWorkBeforeAnythingIsStarted(t *testing.T) {
	w := newWorld(t, meshtest.Shop())
	w.Up = func(context.Context, UpOptions) error { t.Error("it was started"); return nil }
	file := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, dir, code string
		exit            int
	}{
		{"a mesh of that name runs", t.TempDir(), "W4010", ExitFailed},
		{"the directory does not exist", "/does/not/exist", "W4011", ExitUsage},
		{"the directory is a file", file, "W4011", ExitUsage},
	} {
		w.err.Reset()
		if code := w.main("up", c.dir); code != c.exit || !strings.Contains(w.err.String(), c.code) {
			t.Errorf("%s: exit code %d, stderr %q", c.name, code, w.err.String())
		}
	}
}

func TestUpEndsWithTheSignal(t *testing.T) {
	for _, c := range []struct {
		name  string
		cause error
		want  int
	}{{"an interrupt", errInterrupted, ExitInterrupted}, {"a supervisor's stop", errTerminated, ExitOK}} {
		w := newWorld(t, nil)
		ctx, cancel := context.WithCancelCause(context.Background())
		w.Up = func(ctx context.Context, _ UpOptions) error { cancel(c.cause); <-ctx.Done(); return nil }
		if code := Main(ctx, w.Env, []string{"up", t.TempDir()}); code != c.want || w.err.Len() > 0 {
			t.Errorf("%s: exit code %d, wanted %d; stderr %q", c.name, code, c.want, w.err.String())
		}
	}
}

func TestPingRunsAProbeInTheMeshAndJudgesItsAnswers(t *testing.T) {
	for _, c := range []struct {
		name, lines string
		args        []string
		code        int
		says        string
	}{
		{"all answered", `{"seq":1,"answered":true,"evidence":"HTTP/1.1 404 Not Found","totalMs":5}` + "\n" + `{"seq":2,"answered":true,"evidence":"HTTP/1.1 404 Not Found","totalMs":1}` + "\n",
			[]string{"-c", "2"}, ExitOK, "2 of 2 answered by the application\nleast 1.0 ms, mean 3.0 ms, most 5.0 ms"},
		{"one did not", `{"seq":1,"answered":true,"evidence":"x","totalMs":5}` + "\n" + `{"seq":2,"answered":false,"error":"a proxy answered 503 itself","refusal":"weft; error=x"}` + "\n",
			[]string{"-c", "2"}, ExitFindings, "weft explain GET http://ratings/"},
		{"the probe did not run", "", nil, ExitFailed, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, meshtest.Shop())
			w.Join = func(_ context.Context, _ place.Target, _ string, o join.Options) (int, error) {
				if o.ServiceAccount != "web" || o.Namespace != "shop" || len(o.Ports) != 0 || !o.Unreported || !slices.Contains(o.Command, "ratings.shop") {
					t.Errorf("options = %+v", o)
				}
				_, err := o.Stdout.Write([]byte(c.lines))
				return 0, err
			}
			// front is a name of the workload; the identity is its account's.
			if code := w.main(append([]string{"ping", "ratings", "--from", "front"}, c.args...)...); code != c.code {
				t.Errorf("exit code %d, wanted %d: %s", code, c.code, w.err.String())
			}
			if !strings.Contains(w.out.String(), c.says) {
				t.Errorf("it said\n%s\nwanted\n%s", w.out.String(), c.says)
			}
		})
	}
}

func TestPingOfAServiceThatDoesNotExistSaysWhichIsNear(t *testing.T) {
	w := newWorld(t, meshtest.Shop())
	if code := w.main("ping", "ratigns"); code != ExitFailed || !strings.Contains(w.err.String(), "shop/ratings") {
		t.Errorf("exit code %d, stderr %q", code, w.err.String())
	}
	if code := w.main("ping", "ratings", "--port", "81"); code != ExitUsage || !strings.Contains(w.err.String(), "80/http") {
		t.Errorf("a port that it has not: exit code %d, stderr %q", code, w.err.String())
	}
}

func TestCheckOfADirectoryNeedsNoControlPlane(t *testing.T) {
	w := newWorld(t, nil)
	good, bad := t.TempDir(), t.TempDir()
	w.CheckConfig = func(dir string, isDir bool) ([]*codes.Error, string, error) {
		if !isDir {
			t.Errorf("%s is a directory", dir)
		}
		if dir == good {
			return nil, "2 services, 1 route", nil
		}
		return []*codes.Error{{Code: "W1004", What: "unknown kind", Where: "a.yaml:1"}}, "", nil
	}
	if code := w.main("check", good); code != ExitOK || !strings.Contains(w.out.String(), "2 services, 1 route") {
		t.Errorf("exit code %d: %s", code, w.out.String())
	}
	w.out.Reset()
	if code := w.main("check", bad, "-o", "json"); code != ExitFindings {
		t.Errorf("exit code %d", code)
	}
	var report struct {
		Kind     string
		Findings int
		Checks   []mesh.Check
	}
	if err := json.Unmarshal(w.out.Bytes(), &report); err != nil || report.Findings != 1 || report.Checks[0].Fault.Where != "a.yaml:1" {
		t.Errorf("report = %+v, %v", report, err)
	}
}

func TestCheckOfAFileTellsWhatIsWrongInIt(t *testing.T) {
	w := newWorld(t, nil)
	w.CheckConfig = checkConfig
	dir := t.TempDir()
	for name, text := range map[string]string{
		"good.yaml":   "apiVersion: v1\nkind: Service\nmetadata: {name: cart}\nspec: {ports: [{port: 80}]}\n",
		"broken.yaml": "apiVersion: v1\nkind: Servce\nmetadata: {name: cart}\n",
		"notes.txt":   "buy milk\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		file, says string
		code       int
	}{
		{"good.yaml", "1 object, checked with the files beside it", ExitOK},
		{"broken.yaml", "W1004", ExitFindings},
		{"notes.txt", "W1001", ExitFindings},
	} {
		w.out.Reset()
		if code := w.main("check", filepath.Join(dir, c.file)); code != c.code || !strings.Contains(w.out.String(), c.says) {
			t.Errorf("%s: exit code %d, want %d: %s", c.file, code, c.code, w.out.String())
		}
	}
}

func TestALogIsQuietUnlessThereIsTrouble(t *testing.T) {
	var b bytes.Buffer
	w := &onlyTrouble{to: &b}
	for _, s := range []string{"weft-proxy: level=INFO msg=a\nweft-pro", "xy: level=WARN msg=b\n", "panic: c\n", "level=DEBUG d\n"} {
		if n, err := w.Write([]byte(s)); n != len(s) || err != nil {
			t.Fatal(n, err)
		}
	}
	if got := b.String(); got != "weft-proxy: level=WARN msg=b\npanic: c\n" {
		t.Errorf("passed on %q", got)
	}
}

func TestWatchShowsAgainUntilItIsInterrupted(t *testing.T) {
	w := newWorld(t, meshtest.Shop())
	ctx, cancel := context.WithCancelCause(context.Background())
	shown := 0
	w.Dial = func(ctx context.Context, at place.Target, token string) (mesh.Client, error) {
		if shown++; shown == 3 {
			cancel(errInterrupted)
		}
		return dial(ctx, at, token)
	}
	code := Main(ctx, w.Env, []string{"stat", "--watch", "--every", "100ms"})
	if code != ExitInterrupted || shown != 3 || w.err.Len() > 0 {
		t.Errorf("exit code %d after %d looks, stderr %q", code, shown, w.err.String())
	}
	if strings.Contains(w.out.String(), "\x1b") {
		t.Error("it moved the cursor of something that is no terminal")
	}
}

func TestLintTellsErrorsFromWarnings(t *testing.T) {
	w := newWorld(t, nil)
	w.LintConfig = lintConfig
	dir := t.TempDir()
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, "x.yaml"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	const service = "apiVersion: v1\nkind: Service\nmetadata: {name: cart}\nspec: {ports: [{port: 80}]}\n---\n"
	policy := func(section string) string {
		return service + "apiVersion: weft.dev/v1alpha1\nkind: TrafficPolicy\nmetadata: {name: p}\nspec: {targetRefs: [{group: '', kind: Service, name: cart}], " + section + "}\n"
	}
	for _, c := range []struct {
		what, text string
		args       []string
		code       int
		says       string
	}{
		{"what is right", policy("timeouts: {request: 1s}"), nil, ExitOK, "all is well"},
		{"a danger", policy("faults: [{status: 503}]"), nil, ExitOK, "W1228"},
		{"a danger to be strict about", policy("faults: [{status: 503}]"), []string{"--strict"}, ExitFindings, "W1228"},
		{"a policy for nobody", strings.Replace(policy("timeouts: {request: 1s}"), "name: cart}]", "name: crat}]", 1), nil, ExitOK, "W1220"},
		{"an error", policy("timeouts: {request: 1s, backendRequest: 2s}"), nil, ExitFindings, "W1106"},
	} {
		write(c.text)
		w.out.Reset()
		if code := w.main(append([]string{"lint", dir}, c.args...)...); code != c.code || !strings.Contains(w.out.String(), c.says) {
			t.Errorf("%s: exit %d\n%s", c.what, code, w.out.String())
		}
	}
	w.out.Reset()
	if code := w.main("lint", dir, "-o", "json"); code != ExitFindings || !strings.Contains(w.out.String(), `"kind": "LintReport"`) {
		t.Errorf("exit %d\n%s", code, w.out.String())
	}
	if code := w.main("lint", filepath.Join(dir, "x.yaml")); code != ExitUsage {
		t.Errorf("of a file: exit %d", code)
	}
}
