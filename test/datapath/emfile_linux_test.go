package datapath

import (
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
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
	// Sockets for later; then files take what is left, so that accepting is what fails.
	to, err := netip.ParseAddrPort(x.client.addr["cart"])
	if err != nil {
		t.Fatal(err)
	}
	var sockets []int
	for range 5 {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		sockets = append(sockets, fd)
	}
	var files []*os.File
	for {
		f, err := os.Open(os.DevNull)
		if err != nil {
			break
		}
		files = append(files, f)
	}
	for _, fd := range sockets {
		if err := unix.Connect(fd, &unix.SockaddrInet4{Port: int(to.Port()), Addr: to.Addr().As4()}); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "the shortage is counted", func() bool { return x.client.refusals("W3012") > 0 })
	for _, f := range files {
		f.Close()
	}
	for _, fd := range sockets {
		unix.Close(fd)
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
