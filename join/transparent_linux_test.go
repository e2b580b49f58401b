package join

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/weft-mesh/weft/node"
)

func needRoot(t *testing.T) {
	t.Helper()
	if err := node.Supported(); err != nil {
		t.Skipf("skipped: network namespaces need root (%v)", err)
	}
}

// footprint is all that a run could leave on a machine, as a text to compare.
func footprint(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	for _, args := range [][]string{{"nft", "list", "ruleset"}, {"ip", "-j", "link"}, {"ip", "-j", "addr"}, {"ip", "netns"}} {
		out, err := exec.Command(args[0], args[1:]...).Output()
		if err != nil {
			continue // not installed
		}
		var links []struct {
			Name string `json:"ifname"`
			Addr []struct {
				Local string `json:"local"`
			} `json:"addr_info"`
		}
		if json.Unmarshal(out, &links) == nil {
			for _, l := range links {
				fmt.Fprintln(&b, l.Name, l.Addr)
			}
			continue
		}
		b.Write(out)
	}
	mounts, _ := os.ReadFile("/proc/self/mounts")
	resolv, _ := os.ReadFile("/etc/resolv.conf")
	b.Write(mounts)
	b.Write(resolv)
	return b.String()
}

func TestUnchangedURLsGoThroughTheMesh(t *testing.T) {
	needRoot(t)
	before := footprint(t)
	b := newBench(t, "get",
		"http://cart/", "http://cart.shop:9090/", "http://cart.shop.svc.cluster.local/", "http://198.51.100.7:81/",
		"http://nosuch.weft.localhost/", "http://[2001:db8::7]:82/")
	b.Transparent = true
	code, err := b.run()
	want := []string{"to shop/cart port 80", "to shop/cart port 9090", "to shop/cart port 80", "to 198.51.100.7:81", "error: ", "to [2001:db8::7]:82"}
	got := strings.Split(strings.TrimSpace(b.out.String()), "\n")
	if code != 0 || err != nil || len(got) != len(want) {
		t.Fatalf("exit code %d, %v, output:\n%s\nlog:\n%s", code, err, b.out.String(), b.log.String())
	}
	for i := range want {
		if !strings.HasPrefix(got[i], want[i]) {
			t.Errorf("%s: %q, want %q", b.Command[3+i], got[i], want[i])
		}
	}
	if after := footprint(t); after != before {
		t.Errorf("before:\n%s\nafter:\n%s", before, after)
	}
}

func TestACapturedApplicationIsToldNamesNotProxies(t *testing.T) {
	needRoot(t)
	b := newBench(t, "env")
	b.Transparent = true
	if code, err := b.run(); code != 0 || err != nil {
		t.Fatalf("exit code %d, %v\n%s", code, err, b.log.String())
	}
	out := b.out.String()
	if got := value(out, "WEFT_CART_URL"); got != "http://cart.shop.svc.cluster.local:80" {
		t.Errorf("WEFT_CART_URL=%s", got)
	}
	if got := value(out, "http_proxy"); got != "" {
		t.Errorf("http_proxy=%s: that address does not exist in the namespace", got)
	}
}

func TestInboundReachesACapturedApplicationOnLoopback(t *testing.T) {
	needRoot(t)
	b := newBench(t, "serve", "127.0.0.1:8081")
	b.Ports = []Port{{Number: 8081}}
	b.Link = "127.0.0.1:" + freePort(t)
	b.Transparent = true
	var got string
	code, err := b.talk(func(in io.Writer, out *bufio.Reader) {
		_, _ = out.ReadString('\n')
		got = ask(b.Link)
		_, _ = io.WriteString(in, "\n")
	})
	if code != 0 || err != nil || got != "the app" {
		t.Errorf("exit code %d, %v, answer %q", code, err, got)
	}
}

func TestConnectionsWaitWhileACapturedApplicationsProxyRestarts(t *testing.T) {
	needRoot(t)
	b := newBench(t, "cat")
	b.Transparent = true
	b.Command = []string{"/bin/sh", "-c", "echo there; read line; exec \"$@\"", "sh", self(t), "play", "get", "http://198.51.100.7:81/"}
	var got string
	code, err := b.talk(func(in io.Writer, out *bufio.Reader) {
		_, _ = out.ReadString('\n')
		_ = syscall.Kill(b.proxyPID(), syscall.SIGKILL)
		_, _ = io.WriteString(in, "\n") // at once: the proxy is away, its listening socket is not
		got, _ = out.ReadString('\n')
	})
	if code != 0 || err != nil || got != "to 198.51.100.7:81\n" {
		t.Errorf("exit code %d, %v, %q", code, err, got)
	}
}

// startRun starts `weft run` as a process and gives the application's pid.
func startRun(t *testing.T, b *bench, dir string) (run *exec.Cmd, appPID int) {
	t.Helper()
	o := map[string]any{
		"Name": "web", "Namespace": "shop", "ProxyBinary": b.ProxyBinary, "RuntimeDir": b.RuntimeDir,
		"StateDir": b.StateDir, "Transparent": b.Transparent,
	}
	text, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	run = exec.Command(self(t), append([]string{"play", "run", string(text)}, b.Command...)...)
	run.Dir = dir
	run.Stderr = os.Stderr
	out, err := run.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := run.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = run.Process.Kill(); _ = run.Wait() })
	line, _ := bufio.NewReader(out).ReadString('\n')
	appPID, err = strconv.Atoi(strings.TrimPrefix(strings.TrimSpace(line), "pid "))
	if err != nil {
		t.Fatalf("the application said %q", line)
	}
	return run, appPID
}

func TestKillingARunLeavesNothingAfterTheNextOne(t *testing.T) {
	for _, transparent := range []bool{false, true} {
		t.Run(fmt.Sprintf("transparent %v", transparent), func(t *testing.T) {
			if transparent {
				needRoot(t)
			}
			before := footprint(t)
			b := newBench(t, "deaf")
			b.Transparent = transparent
			run, app := startRun(t, b, t.TempDir())
			proxy := b.proxyPID()
			if !alive(app) || !alive(proxy) {
				t.Fatalf("application %d, proxy %d", app, proxy)
			}
			if removed := Reap(b.RuntimeDir, b.Log); len(removed) != 0 {
				t.Errorf("a living run lost %v", removed)
			}
			_ = run.Process.Kill()
			_ = run.Wait()
			eventually(t, "application and proxy die with weft run", func() bool { return !alive(app) && !alive(proxy) })
			eventually(t, "the kernel removes the namespace", func() bool { return footprint(t) == before })
			left, _ := filepath.Glob(filepath.Join(b.RuntimeDir, "run-*"))
			if len(left) != 1 {
				t.Errorf("%d directories are left; this test could not fail", len(left))
			}
			next := newBench(t, "exit", "0")
			next.RuntimeDir = b.RuntimeDir
			if code, err := next.run(); code != 0 || err != nil { // run checks that the directory is empty
				t.Errorf("the next run: exit code %d, %v", code, err)
			}
			if after := footprint(t); after != before {
				t.Errorf("before:\n%s\nafter:\n%s", before, after)
			}
		})
	}
}

func TestTerminatingARunEndsEverything(t *testing.T) {
	b := newBench(t, "wait")
	run, app := startRun(t, b, t.TempDir())
	_ = run.Process.Signal(syscall.SIGTERM) // caught by weft run itself and passed on
	err := run.Wait()
	if run.ProcessState.ExitCode() != 7 {
		t.Errorf("weft run: %v", err)
	}
	if alive(app) {
		t.Error("the application runs on")
	}
	b.nothingLeft()
}
