//go:build linux

package process

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// twoShops starts two instances of one service.
func twoShops(w *world) (one, two *member) {
	one = w.serve("shop", "http", nil, "one")
	two = w.serve("shop", "http", nil, "two")
	return one, two
}

// bothAnswer waits until both instances are seen by a caller.
func (c *caller) bothAnswer(target string) {
	c.t.Helper()
	client := c.client()
	seen := map[string]bool{}
	eventually(c.t, "both instances answer "+target, func() bool {
		if code, body := get(client, target); code == 200 {
			seen[body] = true
		}
		return seen["one"] && seen["two"]
	})
}

// TestTrafficOutlivesTheControlPlane: kill -9 of the control plane under load loses nothing; a
// proxy that is killed meanwhile comes back from what it kept on disk; a control plane started
// again on the same state is the same mesh, and everybody finds it.
func TestTrafficOutlivesTheControlPlane(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	one, two := twoShops(w)
	me := w.call("me")
	me.bothAnswer("http://shop/")
	before := w.status()

	l := me.startLoad(8, "http://shop/")
	l.await(me, 200)
	w.up.kill()
	l.await(me, 500)
	all := l.finish()
	if fails := failures(all); len(fails) > 0 {
		t.Errorf("control plane killed: %d of %d requests failed, want 0: %+v", len(fails), len(all), fails[:min(3, len(fails))])
	}
	t.Logf("control plane killed: %d requests, %d lost", len(all), len(failures(all)))

	// A proxy dies while nobody can tell it anything.
	l = me.startLoad(8, "http://shop/")
	l.await(me, 100)
	killed := time.Now()
	one.killProxy()
	one.proxyBack(1)
	back := since(killed)
	l.await(me, 200)
	all = l.finish()
	fails := failures(all)
	if len(fails) > l.workers {
		t.Errorf("proxy killed without a control plane: %d of %d requests failed, want at most the %d in flight%s", len(fails), len(all), l.workers, show(fails, killed))
	}
	for _, f := range fails {
		if f.begin.After(killed.Add(time.Second)) {
			t.Errorf("a request begun %s after the kill failed: %d %s", f.begin.Sub(killed), f.code, f.body)
		}
	}
	t.Logf("proxy killed without a control plane: back after %s, %d of %d requests lost, %d were in flight", back, len(fails), len(all), l.workers)
	// The one that came back serves: the other is stopped.
	two.signal(syscall.SIGTERM)
	two.wait()
	client := me.client()
	eventually(t, "the restarted proxy serves", func() bool { code, body := get(client, "http://shop/"); return code == 200 && body == "one" })

	// The caller's own proxy, too, once what it knows of the service is on disk.
	eventually(t, "the caller's view is on disk", func() bool {
		views, _ := filepath.Glob(filepath.Join(w.dir, "s", "weft", "workloads", fmt.Sprintf("run-%d-*", me.cmd.Process.Pid), "view-*"))
		for _, v := range views {
			if text, _ := os.ReadFile(v); bytes.Contains(text, []byte("shop")) {
				return true
			}
		}
		return false
	})
	me.killProxy()
	me.proxyBack(1)
	me.until(me.client(), "http://shop/")

	w.start()
	var after status
	eventually(t, "everybody is back at the control plane", func() bool {
		after = w.status()
		connected := map[string]bool{}
		for _, p := range after.Proxies {
			connected[p.Name] = p.Connected && p.Current
		}
		return connected[one.workload] && connected[me.workload] && after.states()[strings.TrimPrefix(one.workload, "default/")] == "live"
	})
	if before.Control.RootHash == "" || after.Control.RootHash != before.Control.RootHash {
		t.Errorf("the mesh's root is %q, before it was %q", after.Control.RootHash, before.Control.RootHash)
	}
	w.serve("late", "http", nil, "late")
	me.until(client, "http://late/")
	w.onlyMTLS("late")
}

// TestAMeshHasOneControlPlane: a second on the same state is refused and harms nobody.
func TestAMeshHasOneControlPlane(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	state := filepath.Join(w.dir, "s", "weft", "default")
	_, stderr := w.ask(1, "up", w.cfg, "--mesh", "other", "--state", state)
	if !strings.Contains(stderr, "W2001") || !strings.Contains(stderr, state) {
		t.Errorf("the refusal does not say W2001 and where:\n%s", stderr)
	}
	_, stderr = w.ask(1, "up", w.cfg)
	if !strings.Contains(stderr, "W4010") && !strings.Contains(stderr, "W2001") {
		t.Errorf("a second control plane on the same socket says:\n%s", stderr)
	}
	if got := w.status().Control.PID; got != w.up.cmd.Process.Pid {
		t.Errorf("process %d answers, want the first, %d", got, w.up.cmd.Process.Pid)
	}
	// After a crash the state is free at once.
	w.up.kill()
	w.start()
}

// TestAKilledProxyIsReplaced: with one instance only, so that nobody else can take over.
func TestAKilledProxyIsReplaced(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	shop := w.serve("shop", "http", nil, "one")
	me := w.call("me")
	me.until(me.client(), "http://shop/")
	for i, victim := range []*member{shop, me.member} {
		l := me.startLoad(4, "http://shop/")
		l.await(me, 100)
		killed := time.Now()
		victim.killProxy()
		victim.proxyBack(1)
		l.await(me, 200)
		all := l.finish()
		var last time.Time
		fails := failures(all)
		for _, f := range fails {
			if f.end.After(last) {
				last = f.end
			}
		}
		outage := time.Duration(0)
		if len(fails) > 0 {
			outage = last.Sub(killed)
		}
		who := []string{"the callee's", "the caller's"}[i]
		if outage > 2*time.Second {
			t.Errorf("%s proxy killed: the last failure came %s after, want at most 2 s%s", who, outage, show(fails, killed))
		}
		t.Logf("%s proxy killed: %d of %d requests lost, the last %s after", who, len(fails), len(all), outage.Round(time.Millisecond))
		if !alive(victim.app) {
			t.Errorf("%s application did not survive its proxy", who)
		}
	}
}

// TestNothingOutlivesAKilledRun: kill -9 of weft run takes the application and the proxy with it;
// the registration goes, and the next weft run removes the rest.
func TestNothingOutlivesAKilledRun(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	shop := w.serve("shop", "http", nil, "one")
	dirs := w.runDirs()
	if len(dirs) != 1 {
		t.Fatalf("directories of runs: %v, want one", dirs)
	}
	shop.kill()
	eventually(t, "application and proxy are dead", func() bool { return !alive(shop.app) && !alive(shop.proxy) })
	eventually(t, "the registration is gone", func() bool { st := w.status(); return len(st.Workloads) == 0 })

	w.ask(0, "run", "--name", "next", "--", self(t), roleArg, "exit", "0")
	if left := w.runDirs(); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	// All that is left in the runtime directory is the control plane's own socket.
	var names []string
	entries, err := os.ReadDir(w.runtime())
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	if strings.Join(names, " ") != "default.sock" {
		t.Errorf("the runtime directory holds %v", names)
	}
	for _, d := range []string{"tmp", filepath.Join("s", "weft", "workloads")} {
		if left, _ := filepath.Glob(filepath.Join(w.dir, d, "*")); len(left) > 0 {
			t.Errorf("left behind: %v", left)
		}
	}
}
