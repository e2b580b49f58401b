package join

import (
	"bufio"
	"io"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

// TestAGroupThatIsStoppedAsAWholeIsNoTrouble: systemd, docker stop and shells signal every
// process, so the proxy ends beside its application and nothing is wrong.
func TestAGroupThatIsStoppedAsAWholeIsNoTrouble(t *testing.T) {
	for _, tc := range []struct {
		name       string
		proxyFirst bool
	}{{"the proxy ends first", true}, {"the application is asked first", false}} {
		t.Run(tc.name, func(t *testing.T) {
			b := newBench(t, "wait")
			b.Command = []string{"/bin/sh", "-c", "trap 'sleep 0.3; exit 7' TERM; echo there; while :; do sleep 0.05; done"}
			var first int
			code, err := b.talk(func(_ io.Writer, out *bufio.Reader) {
				_, _ = out.ReadString('\n')
				first = b.proxyPID()
				if !tc.proxyFirst {
					b.signals <- syscall.SIGTERM
				}
				_ = syscall.Kill(first, syscall.SIGTERM)
				eventually(t, "the proxy ends", func() bool { return !alive(first) })
				if tc.proxyFirst {
					b.signals <- syscall.SIGTERM
				}
			})
			if code != 7 || err != nil {
				t.Errorf("exit code %d, %v", code, err)
			}
			if now := b.proxyPID(); now != first || strings.Contains(b.log.String(), "W4112") {
				t.Errorf("proxy %d was followed by %d; log:\n%s", first, now, b.log.String())
			}
		})
	}
}

// TestAnApplicationThatGoesOnGetsANewProxy: somebody stopped the proxy alone.
func TestAnApplicationThatGoesOnGetsANewProxy(t *testing.T) {
	b := newBench(t, "cat")
	code, err := b.talk(func(in io.Writer, out *bufio.Reader) {
		_, _ = io.WriteString(in, "a line\n")
		_, _ = out.ReadString('\n')
		first := b.proxyPID()
		_ = syscall.Kill(first, syscall.SIGTERM)
		eventually(t, "there is another proxy", func() bool { return b.proxyPID() != first })
	})
	if code != 0 || err != nil {
		t.Errorf("exit code %d, %v", code, err)
	}
	if n := strings.Count(b.log.String(), "code=W4112"); n != 1 {
		t.Errorf("the restart was told %d times:\n%s", n, b.log.String())
	}
}

func TestTheAddressOfTheMetricsIsTold(t *testing.T) {
	b := newBench(t, "exit", "0")
	b.Metrics, b.Instance = true, "web-1"
	if code, err := b.run(); code != 0 || err != nil {
		t.Fatalf("exit code %d, %v", code, err)
	}
	if out := b.out.String(); !strings.Contains(out, "weft: metrics of shop/web-1 at http://127.0.0.1:") || !strings.Contains(out, "/metrics\n") {
		t.Errorf("stderr is %q", out)
	}
}

// TestOnlyAProxyThatWasToldToEndIsWaitedFor: after a crash each moment without a proxy is a loss.
func TestOnlyAProxyThatWasToldToEndIsWaitedFor(t *testing.T) {
	for script, want := range map[string]bool{"exit 0": true, "kill -TERM $$": true, "exit 1": false, "kill -KILL $$": false, "kill -SEGV $$": false} {
		p := &proxy{cmd: exec.Command("/bin/sh", "-c", script)}
		_ = p.cmd.Run() // only its end counts
		if got := p.obeyed(); got != want {
			t.Errorf("%s: %v, want %v", script, got, want)
		}
	}
}
