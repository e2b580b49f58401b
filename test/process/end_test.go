//go:build linux

package process

import (
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestAReplicaLeavesWithoutALostRequest: SIGTERM to one of two instances under load.
func TestAReplicaLeavesWithoutALostRequest(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	one, _ := twoShops(w)
	me := w.call("me")
	me.bothAnswer("http://shop/")
	l := me.startLoad(8, "http://shop/?delay=20ms")
	l.await(me, 100)
	asked := time.Now()
	one.signal(syscall.SIGTERM)
	if code := one.wait(); code != 0 && code != 143 {
		t.Errorf("weft run ended with %d", code)
	}
	gone := since(asked)
	l.await(me, 100)
	all := l.finish()
	if fails := failures(all); len(fails) > 0 {
		t.Errorf("%d of %d requests failed, want 0%s", len(fails), len(all), show(fails, asked))
	}
	last := 0
	for _, e := range all {
		if e.body == "one" && e.begin.After(asked.Add(2*time.Second)) {
			last++
		}
	}
	if last > 0 {
		t.Errorf("%d requests went to the leaving instance long after", last)
	}
	t.Logf("%d requests, %d lost; the instance was gone after %s", len(all), len(failures(all)), gone)
}

// TestTheExitCodeIsTheCommands: weft run is transparent to shells and supervisors.
func TestTheExitCodeIsTheCommands(t *testing.T) {
	need(t, "sh")
	t.Parallel()
	w := newWorld(t, nil)
	for _, tc := range []struct {
		name    string
		command []string
		want    int
	}{
		{"success", []string{"sh", "-c", "exit 0"}, 0},
		{"its own code", []string{"sh", "-c", "exit 37"}, 37},
		{"ended by SIGSEGV", []string{"sh", "-c", "kill -SEGV $$"}, 128 + 11},
		{"ended by SIGKILL", []string{"sh", "-c", "kill -KILL $$"}, 128 + 9},
		{"not there", []string{"./no-such-program"}, 127},
		{"not executable", []string{"/dev/null"}, 126},
	} {
		p := w.weft(append([]string{"run", "--name", "app", "--"}, tc.command...)...)
		if got := p.wait(); got != tc.want {
			t.Errorf("%s: exit code %d, want %d\n%s", tc.name, got, tc.want, p.err.String())
		}
		if tc.want > 125 && tc.want < 128 && !strings.Contains(p.err.String(), "W4104") {
			t.Errorf("%s: the reason is not told:\n%s", tc.name, p.err.String())
		}
	}
	if left := w.runDirs(); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// TestCtrlCEndsApplicationAndProxy: a terminal sends SIGINT to the whole process group.
func TestCtrlCEndsApplicationAndProxy(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	for _, tc := range []struct {
		sig     syscall.Signal
		command []string
		want    int
	}{
		{syscall.SIGINT, []string{"sleep", "600"}, 130},  // what has no handler dies of it
		{syscall.SIGTERM, []string{"sleep", "600"}, 143}, // of a supervisor
		{syscall.SIGINT, []string{self(t), roleArg, "hold"}, 0},
	} {
		m := w.run("app", []string{"--port", strconv.Itoa(freePort(t))}, tc.command...)
		if tc.want == 0 {
			m.out.await(t, m.done, 0, "{") // it listens to signals by then
		}
		if err := syscall.Kill(-m.cmd.Process.Pid, tc.sig); err != nil {
			t.Fatal(err)
		}
		if code := m.wait(); code != tc.want {
			t.Errorf("%s to %v: exit code %d, want %d", tc.sig, tc.command[0], code, tc.want)
		}
		if alive(m.app) || alive(m.proxy) {
			t.Errorf("%s: application alive %v, proxy alive %v after weft run ended", tc.sig, alive(m.app), alive(m.proxy))
		}
		if st := w.status(); len(st.Workloads) != 0 {
			t.Errorf("%s: still registered: %v", tc.sig, st.states())
		}
		if left := w.runDirs(); len(left) > 0 {
			t.Errorf("%s: left behind: %v", tc.sig, left)
		}
	}
}
