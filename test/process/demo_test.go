//go:build linux

package process

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// demoReport is what `weft demo -o json` promises.
type demoReport struct {
	APIVersion string   `json:"apiVersion"`
	Kind       string   `json:"kind"`
	Healthy    bool     `json:"healthy"`
	Reasons    []string `json:"reasons"`
	Seconds    float64  `json:"seconds"`
	ReadyMS    int64    `json:"readyMs"`
	Requests   uint64   `json:"requests"`
	MTLSShare  float64  `json:"mtlsShare"`
	Edges      []struct {
		edge
		Planted bool    `json:"planted"`
		Healthy bool    `json:"healthy"`
		P50MS   float64 `json:"p50Ms"`
		P99MS   float64 `json:"p99Ms"`
	} `json:"edges"`
	Versions []struct {
		Backend  string  `json:"backend"`
		Requests uint64  `json:"requests"`
		Share    float64 `json:"share"`
		Weight   float64 `json:"weight"`
	} `json:"versions"`
}

// bare starts the demo with an environment of PATH, HOME and TMPDIR and nothing else; as root,
// as a user who has no rights: the demo promises to need none.
func (w *world) bare(args ...string) *process {
	w.t.Helper()
	weft := filepath.Join(bin, "weft")
	home, tmp := filepath.Join(w.dir, "home"), filepath.Join(w.dir, "tmp")
	if err := os.Mkdir(home, 0o700); err != nil {
		w.t.Fatal(err)
	}
	command := append([]string{weft, "demo"}, args...)
	if os.Geteuid() == 0 {
		const nobody = 65534
		need(w.t, "setpriv")
		for _, d := range []string{home, tmp} {
			if err := os.Chown(d, nobody, nobody); err != nil {
				w.t.Fatal(err)
			}
		}
		if err := os.Chmod(w.dir, 0o711); err != nil { //nolint:gosec // nobody must come through
			w.t.Fatal(err)
		}
		command = append([]string{"setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--no-new-privs", "--inh-caps=-all", "--bounding-set=-all"}, command...)
	}
	env, err := exec.LookPath("env")
	if err != nil {
		w.t.Skipf("skipped: %v", err)
	}
	return w.launch(nil, env, append([]string{"-i", "PATH=/usr/bin:/bin", "HOME=" + home, "TMPDIR=" + tmp}, command...)...)
}

// nothingLeft asserts that no file and no process of the demo is there any more.
func (w *world) nothingLeft(pids []int) {
	w.t.Helper()
	for _, d := range []string{"home", "tmp"} {
		_ = filepath.WalkDir(filepath.Join(w.dir, d), func(path string, e os.DirEntry, err error) error {
			if err != nil {
				w.t.Error(err)
			} else if path != filepath.Join(w.dir, d) {
				w.t.Errorf("left behind: %s (%s)", path, e.Type())
			}
			return nil
		})
	}
	for _, pid := range pids {
		if alive(pid) {
			w.t.Errorf("process %d runs on", pid)
		}
	}
}

// descendants lists the processes below one.
func descendants(pid int) (out []int) {
	for _, c := range children(pid) {
		out = append(append(out, c), descendants(c)...)
	}
	return out
}

// TestTheDemoWorksForAnybody: without rights, without an environment, on any machine.
func TestTheDemoWorksForAnybody(t *testing.T) {
	t.Parallel()
	w := emptyWorld(t)
	p := w.bare("--for", "10s", "-o", "json")
	select {
	case <-p.done:
	case <-time.After(2 * patience):
		t.Fatal("the demo does not end")
	}
	if p.code() != 0 {
		t.Errorf("exit code %d", p.code())
	}
	var r demoReport
	if err := json.Unmarshal([]byte(p.out.String()), &r); err != nil {
		t.Fatalf("%v in\n%s", err, p.out.String())
	}
	if !r.Healthy || len(r.Reasons) != 0 || r.Kind != "DemoReport" || r.APIVersion == "" {
		t.Errorf("healthy %v, reasons %q, kind %q, apiVersion %q", r.Healthy, r.Reasons, r.Kind, r.APIVersion)
	}
	if r.MTLSShare != 1 || r.Requests < 100 || r.Seconds < 9 || r.Seconds > 20 {
		t.Errorf("%d requests in %v s, %v of them over mTLS", r.Requests, r.Seconds, r.MTLSShare)
	}
	if r.ReadyMS <= 0 || r.ReadyMS > 5000 {
		t.Errorf("ready after %d ms, want at most 5000", r.ReadyMS)
	}
	planted := 0
	for _, e := range r.Edges {
		if e.Planted {
			planted++
			if e.Failures == 0 || e.Backend != "shop/ratings-v2" {
				t.Errorf("the planted fault is at %s with %d failures", e.Backend, e.Failures)
			}
			continue
		}
		if !e.Healthy || e.MTLS != 1 || e.Requests+e.Connections == 0 || e.Requests > 0 && (e.P50MS <= 0 || e.P99MS < e.P50MS) {
			t.Errorf("edge %+v", e)
		}
	}
	if planted != 1 || len(r.Edges) != 6 {
		t.Errorf("%d edges, %d of them planted; want 6 and 1", len(r.Edges), planted)
	}
	if len(r.Versions) != 2 || r.Versions[0].Requests == 0 || r.Versions[1].Requests == 0 {
		t.Errorf("versions of the route hit: %+v", r.Versions)
	}
	t.Logf("ready in %d ms, %d requests", r.ReadyMS, r.Requests)
	w.nothingLeft(nil)
}

// TestCtrlCLeavesNothingOfTheDemo: a terminal's SIGINT reaches the demo and all that it started.
func TestCtrlCLeavesNothingOfTheDemo(t *testing.T) {
	t.Parallel()
	w := emptyWorld(t)
	p := w.bare()
	p.out.await(t, p.done, 0, "Ctrl-C stops everything")
	pids := descendants(p.cmd.Process.Pid)
	if len(pids) < 14 {
		t.Errorf("%d processes, want at least 7 services with a proxy each", len(pids))
	}
	began := time.Now()
	if err := syscall.Kill(-p.cmd.Process.Pid, syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if code := p.wait(); code != 130 {
		t.Errorf("exit code %d, want 130", code)
	}
	t.Logf("%d processes ended in %s", len(pids), since(began))
	if !strings.Contains(p.out.String(), "nothing is left") {
		t.Errorf("the last words are %q", tail(p.out.String()))
	}
	w.nothingLeft(pids)
}
