package node

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/weft-mesh/weft/proxy/capture"
)

// play is the application: it runs inside a namespace.
func play(role string) error {
	switch role {
	case "dial": // dials and sends one line, prints what came back
		c, err := net.DialTimeout("tcp", os.Args[1], 5*time.Second)
		if err != nil {
			return err
		}
		defer func() { _ = c.Close() }()
		_, _ = io.WriteString(c, "hello\n")
		line, err := bufio.NewReader(c).ReadString('\n')
		fmt.Print(line)
		return err
	case "serve": // serves one connection on the address, after printing a line
		l, err := net.Listen("tcp", os.Args[1])
		if err != nil {
			return err
		}
		fmt.Println("listening", l.Addr())
		c, err := l.Accept()
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(c, "from the app to %s\n", c.RemoteAddr())
		return errors.Join(err, c.Close())
	case "udp": // sends one datagram, prints what came back
		c, err := net.Dial("udp", os.Args[1])
		if err != nil {
			return err
		}
		_, _ = io.WriteString(c, "question")
		_ = c.SetReadDeadline(time.Now().Add(5 * time.Second))
		b := make([]byte, 512)
		n, err := c.Read(b)
		fmt.Println(string(b[:n]))
		return err
	case "resolv":
		b, err := os.ReadFile("/etc/resolv.conf")
		fmt.Print(string(b))
		return err
	case "hold": // makes a namespace, tells its link, and waits to be killed
		n, err := New(Options{})
		if err != nil {
			return err
		}
		fmt.Println(n.Link())
		_, _ = io.Copy(io.Discard, os.Stdin)
		return nil
	}
	return fmt.Errorf("unknown role %q", role)
}

func needRoot(t *testing.T) {
	t.Helper()
	if err := Supported(); err != nil {
		t.Skipf("skipped: network namespaces need root (%v)", err)
	}
}

func newNamespace(t *testing.T, o Options) *Namespace {
	t.Helper()
	needRoot(t)
	n, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	})
	return n
}

// app prepares the test binary in a role inside the namespace.
func app(role string, args ...string) *exec.Cmd {
	cmd := exec.Command("/proc/self/exe", args...)
	cmd.Env = append(os.Environ(), "WEFT_TEST_ROLE="+role)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return cmd
}

func (n *Namespace) start(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	if err := n.thread.Do(cmd.Start); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
}

func TestEveryTCPConnectionArrivesWithItsDestination(t *testing.T) {
	n := newNamespace(t, Options{})
	for i, dst := range []string{"198.18.3.4:80", "[fd00:1234::1]:8443"} {
		if i >= len(n.Sockets().TCP) {
			t.Logf("no IPv6 on this machine; %s was not tried", dst)
			continue
		}
		l, err := net.FileListener(n.Sockets().TCP[i])
		if err != nil {
			t.Fatal(err)
		}
		cmd := app("dial", dst)
		var out bytes.Buffer
		cmd.Stdout = &out
		n.start(t, cmd)
		_ = l.(*net.TCPListener).SetDeadline(time.Now().Add(5 * time.Second))
		c, err := l.Accept()
		if err != nil {
			t.Fatalf("%s: nothing arrived: %v; the app said %q", dst, err, out.String())
		}
		raw, _ := c.(*net.TCPConn).SyscallConn()
		var got netip.AddrPort
		_ = raw.Control(func(fd uintptr) { got, err = capture.OriginalDst(int(fd), i == 1) })
		if err != nil || got.String() != dst {
			t.Errorf("original destination %v, %v; want %s", got, err, dst)
		}
		_, _ = io.WriteString(c, "through the mesh\n")
		_ = c.Close()
		_ = l.Close()
		if err := cmd.Wait(); err != nil || out.String() != "through the mesh\n" {
			t.Errorf("the app: %v, %q", err, out.String())
		}
	}
}

func TestAnAppOnLoopbackOnlyIsReachedFromOutside(t *testing.T) {
	n := newNamespace(t, Options{})
	for _, bind := range []string{"127.0.0.1:8081", "0.0.0.0:8082", "[::]:8083"} {
		cmd := app("serve", bind)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		n.start(t, cmd)
		if line, err := bufio.NewReader(out).ReadString('\n'); err != nil {
			t.Fatalf("the app did not listen: %q, %v", line, err)
		}
		_, port, _ := net.SplitHostPort(bind)
		c, err := net.DialTimeout("tcp", net.JoinHostPort(n.IPv4().Inside.String(), port), 3*time.Second)
		if err != nil {
			t.Fatalf("an app on %s is not reached: %v", bind, err)
		}
		line, err := bufio.NewReader(c).ReadString('\n')
		if err != nil || !strings.HasPrefix(line, "from the app to "+n.IPv4().Host.String()) {
			t.Errorf("an app on %s: %q, %v", bind, line, err)
		}
		_ = c.Close()
	}
}

func TestTheNamespacesOwnLoopbackIsNotCaptured(t *testing.T) {
	n := newNamespace(t, Options{})
	serve := app("serve", "127.0.0.1:9000")
	out, _ := serve.StdoutPipe()
	n.start(t, serve)
	_, _ = bufio.NewReader(out).ReadString('\n')
	dial := app("dial", "127.0.0.1:9000")
	var got bytes.Buffer
	dial.Stdout = &got
	n.start(t, dial)
	if err := dial.Wait(); err != nil || !strings.HasPrefix(got.String(), "from the app to 127.0.0.1") {
		t.Errorf("an app could not call itself: %v, %q", err, got.String())
	}
}

func TestDNSQueriesToAnyServerArrive(t *testing.T) {
	n := newNamespace(t, Options{})
	// 127.0.0.53 is systemd-resolved's address: on the host's loopback, not in here.
	for i, servers := range [][]string{{"10.9.8.7:53", "127.0.0.53:53"}, {"[2001:db8::53]:53"}} {
		if i >= len(n.Sockets().DNS) {
			continue
		}
		conn, err := net.FilePacketConn(n.Sockets().DNS[i])
		if err != nil {
			t.Fatal(err)
		}
		for _, server := range servers {
			cmd := app("udp", server)
			var out bytes.Buffer
			cmd.Stdout = &out
			n.start(t, cmd)
			b := make([]byte, 512)
			_ = conn.SetReadDeadline(time.Now().Add(5 * time.Second))
			size, from, err := conn.ReadFrom(b)
			if err != nil || string(b[:size]) != "question" {
				t.Fatalf("%s: %q, %v; the app said %q", server, b[:size], err, out.String())
			}
			if _, err := conn.WriteTo([]byte("answer"), from); err != nil {
				t.Errorf("%s: answering %s: %v", server, from, err)
			}
			if err := cmd.Wait(); err != nil || out.String() != "answer\n" {
				t.Errorf("%s: the app: %v, %q", server, err, out.String())
			}
		}
		_ = conn.Close()
	}
}

func TestWhatIsNotCapturedIsRefusedAtOnce(t *testing.T) {
	n := newNamespace(t, Options{})
	cmd := app("udp", "203.0.113.1:443") // as QUIC would
	var out bytes.Buffer
	cmd.Stdout = &out
	begin := time.Now()
	n.start(t, cmd)
	if err := cmd.Wait(); err == nil || !strings.Contains(out.String(), "refused") {
		t.Errorf("UDP left the namespace, or hangs: %v, %q", err, out.String())
	}
	if took := time.Since(begin); took > 3*time.Second {
		t.Errorf("the refusal took %s", took)
	}
}

func TestTheCaptureSocketIsNotReachedFromOutside(t *testing.T) {
	n := newNamespace(t, Options{})
	addr := netip.AddrPortFrom(n.IPv4().Inside, n.ports[0][0])
	c, err := net.DialTimeout("tcp", addr.String(), 3*time.Second)
	if err == nil {
		_ = c.Close()
		t.Errorf("%s answers: a loop through the proxy is possible", addr)
	}
}

func TestTheAppSeesItsOwnResolvConfAndTheHostDoesNot(t *testing.T) {
	needRoot(t)
	before, err := os.ReadFile("/etc/resolv.conf")
	if err != nil {
		t.Skipf("skipped: this machine has no /etc/resolv.conf: %v", err)
	}
	mounts, _ := os.ReadFile("/proc/self/mountinfo")
	file := t.TempDir() + "/resolv.conf"
	const text = "nameserver 10.9.8.7\nsearch shop.svc.cluster.local\n"
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	n := newNamespace(t, Options{ResolvConf: file})
	cmd := app("resolv")
	var out bytes.Buffer
	cmd.Stdout = &out
	n.start(t, cmd)
	if err := cmd.Wait(); err != nil || out.String() != text {
		t.Errorf("the app reads %q, %v", out.String(), err)
	}
	if after, _ := os.ReadFile("/etc/resolv.conf"); !bytes.Equal(before, after) {
		t.Errorf("the host's resolv.conf changed:\n%s", after)
	}
	if after, _ := os.ReadFile("/proc/self/mountinfo"); !bytes.Equal(mounts, after) {
		t.Errorf("the host's mounts changed:\n%s", after)
	}
}

// footprint is everything that could be left on a host.
func footprint(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	links, err := netlink.LinkList()
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range links {
		fmt.Fprintln(&b, "link", l.Attrs().Name)
	}
	if out, err := exec.Command("nft", "-j", "list", "ruleset").Output(); err == nil {
		var v struct{ Nftables []map[string]any }
		_ = json.Unmarshal(out, &v)
		for _, o := range v.Nftables {
			if o["metainfo"] == nil {
				fmt.Fprintln(&b, "nft", o)
			}
		}
	}
	names, _ := os.ReadDir("/run/netns")
	for _, n := range names {
		fmt.Fprintln(&b, "netns", n.Name())
	}
	mounts, _ := os.ReadFile("/proc/self/mounts")
	b.Write(mounts)
	return b.String()
}

// eventually waits until what the kernel does in the background is done.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for !holds() {
		if time.Now().After(deadline) {
			t.Fatal("in 10 s it did not happen: " + what)
		}
		time.Sleep(5 * time.Millisecond) // polling, with a deadline
	}
}

func TestCloseLeavesNothingBehind(t *testing.T) {
	needRoot(t)
	before := footprint(t)
	n, err := New(Options{})
	if err != nil {
		t.Fatal(err)
	}
	if footprint(t) == before {
		t.Fatal("the footprint does not see the link; this test could not fail")
	}
	if err := n.Close(); err != nil {
		t.Error(err)
	}
	if after := footprint(t); after != before {
		t.Errorf("before:\n%s\nafter:\n%s", before, after)
	}
}

func TestAKilledOwnerLeavesNothingBehind(t *testing.T) {
	needRoot(t)
	before := footprint(t)
	hold := app("hold")
	link := startHold(t, hold)
	if removed, err := Reap(); err != nil || len(removed) != 0 {
		t.Errorf("Reap took %v of a living owner (%v)", removed, err)
	}
	if _, err := netlink.LinkByName(link); err != nil {
		t.Errorf("the living owner's link: %v", err)
	}
	_ = hold.Process.Kill()
	_ = hold.Wait()
	eventually(t, "the kernel removes the link of a killed owner", func() bool { return footprint(t) == before })
}

// startHold starts an owner and returns the name of its link.
func startHold(t *testing.T, hold *exec.Cmd) string {
	t.Helper()
	in, _ := hold.StdinPipe()
	out, _ := hold.StdoutPipe()
	th := NewThread()
	if err := th.Do(hold.Start); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = hold.Process.Kill(); _ = hold.Wait(); _ = in.Close(); th.Close() })
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("the owner said %q: %v", line, err)
	}
	return strings.TrimSpace(line)
}

func TestReapRemovesTheLinkOfADeadOwnerWhoseChildLivesOn(t *testing.T) {
	needRoot(t)
	before := footprint(t)
	hold := app("hold")
	link := startHold(t, hold)
	// A descriptor on the namespace stands for a grandchild that outlives its owner. The owner's
	// own threads are in several; the one that is not ours is the one.
	ours, _ := os.Readlink("/proc/self/ns/net")
	var keep *os.File
	tasks, _ := os.ReadDir(fmt.Sprintf("/proc/%d/task", hold.Process.Pid))
	for _, task := range tasks {
		path := fmt.Sprintf("/proc/%d/task/%s/ns/net", hold.Process.Pid, task.Name())
		if ns, _ := os.Readlink(path); ns != ours {
			keep, _ = os.Open(path)
		}
	}
	if keep == nil {
		t.Fatal("no thread of the owner is in a namespace of its own")
	}
	defer func() { _ = keep.Close() }()
	_ = hold.Process.Kill()
	_ = hold.Wait()
	if _, err := netlink.LinkByName(link); err != nil {
		t.Fatalf("the link went although its namespace lives: %v", err)
	}
	removed, err := Reap()
	if err != nil || len(removed) != 1 || removed[0] != link {
		t.Errorf("Reap removed %v, %v; want %s", removed, err, link)
	}
	if after := footprint(t); after != before {
		t.Errorf("before:\n%s\nafter:\n%s", before, after)
	}
}

func TestSeveralNamespacesAtOnceGetDifferentAddresses(t *testing.T) {
	needRoot(t)
	type made struct {
		n   *Namespace
		err error
	}
	results := make(chan made, 4)
	for range 4 {
		go func() { n, err := New(Options{}); results <- made{n, err} }()
	}
	seen := map[netip.Addr]bool{}
	for range 4 {
		m := <-results
		if m.err != nil {
			t.Error(m.err)
			continue
		}
		if seen[m.n.IPv4().Inside] {
			t.Errorf("%s was given twice", m.n.IPv4().Inside)
		}
		seen[m.n.IPv4().Inside] = true
		t.Cleanup(func() { _ = m.n.Close() })
	}
}
