package datapath

import (
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestRunningOutOfDescriptorsIsSurvived: in a process of its own, whose limit can be lowered,
// connections take every descriptor. Those that are there go on, and when descriptors are free
// again new ones are accepted.
func TestRunningOutOfDescriptorsIsSurvived(t *testing.T) {
	const child = "WEFT_TEST_EMFILE"
	if driver := os.Getenv(child); driver != "" {
		runOutOfDescriptors(t, driver)
		return
	}
	eachDriver(t, func(t *testing.T, driver string) {
		exe, err := os.Executable()
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(exe, "-test.run=^TestRunningOutOfDescriptorsIsSurvived$", "-test.timeout=60s")
		cmd.Env = append(os.Environ(), child+"="+driver)
		if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "PASS") {
			t.Errorf("%v\n%s", err, out)
		}
	})
}

func runOutOfDescriptors(t *testing.T, driver string) {
	x := newPair(t, pairOptions{driver: driver, app: hello(t)})
	if code, _ := get(t, x.url("/")); code != 200 {
		t.Fatal(code)
	}
	used, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip(err)
	}
	limit := syscall.Rlimit{Cur: uint64(len(used)) + 40, Max: uint64(len(used)) + 40}
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	// Both ends are in this process: dialing takes a descriptor too. The kernel completes
	// connections that nobody has accepted, so the last ones wait in the backlog.
	var conns []net.Conn
	for {
		c, err := net.DialTimeout("tcp", x.client.addr["cart"], time.Second)
		if err != nil {
			break
		}
		conns = append(conns, c)
	}
	eventually(t, "the shortage is counted", func() bool { return x.client.refusals("W3012")+x.server.refusals("W3012") > 0 })
	for _, c := range conns {
		c.Close()
	}
	eventually(t, "requests pass again", func() bool {
		c, err := net.DialTimeout("tcp", x.client.addr["cart"], time.Second)
		if err != nil {
			return false
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(2 * time.Second))
		c.Write([]byte("GET / HTTP/1.1\r\nHost: cart\r\n\r\n"))
		b := make([]byte, 12)
		n, _ := c.Read(b)
		return string(b[:n]) == "HTTP/1.1 200"
	})
}
