package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"sync"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// namespace is a network namespace without a name. It lives as long as its thread, this process's
// descriptor and the processes inside, so nothing is left behind however the bench ends.
type namespace struct {
	work chan func()
	fd   *os.File
	done sync.WaitGroup
}

// newNamespace makes a namespace with its loopback up. close ends it.
func newNamespace() (*namespace, error) {
	n := &namespace{work: make(chan func())}
	started := make(chan error, 1)
	n.done.Add(1)
	go n.serve(started)
	if err := <-started; err != nil {
		return nil, &problem{what: "cannot make a network namespace", why: err.Error(), err: err}
	}
	return n, nil
}

// serve runs functions on a thread inside the namespace until work is closed. The thread is never
// given back: it ends with the goroutine, and until then it is the parent for PDEATHSIG of the
// processes started on it (prctl(2): the signal follows the thread, not the process).
func (n *namespace) serve(started chan<- error) {
	defer n.done.Done()
	runtime.LockOSThread()
	err := unix.Unshare(unix.CLONE_NEWNET)
	if err == nil {
		n.fd, err = os.Open("/proc/thread-self/ns/net")
	}
	if err == nil {
		err = up("lo")
	}
	if err == nil {
		err = reusePorts()
	}
	started <- err
	if err != nil {
		return
	}
	for f := range n.work {
		f()
	}
}

// reusePorts lets the namespace's clients use a port again a second after its connection ended
// (ip-sysctl: tcp_tw_reuse), and gives them more of them: a new connection for each request would
// use them all up, and what is measured then is the wait for the next. The thread must be inside.
func reusePorts() error {
	for name, value := range map[string]string{"tcp_tw_reuse": "1", "ip_local_port_range": "10000 65535"} {
		if err := os.WriteFile("/proc/sys/net/ipv4/"+name, []byte(value), 0); err != nil {
			return fmt.Errorf("setting %s: %w", name, err)
		}
	}
	return nil
}

// run calls f on the namespace's thread. Sockets that f opens and processes that it starts belong
// to the namespace.
func (n *namespace) run(f func() error) error {
	res := make(chan error, 1)
	n.work <- func() { res <- f() }
	return <-res
}

// start starts cmd inside the namespace.
func (n *namespace) start(cmd *exec.Cmd) error { return n.run(cmd.Start) }

// dial connects from inside the namespace. addr must be numeric: resolving would leave the thread.
func (n *namespace) dial(ctx context.Context, addr string) (net.Conn, error) {
	var c net.Conn
	err := n.run(func() (err error) {
		c, err = (&net.Dialer{}).DialContext(ctx, "tcp", addr)
		return err
	})
	return c, err
}

// close ends the namespace's thread. Processes inside must have ended.
func (n *namespace) close() {
	close(n.work)
	n.done.Wait()
	_ = n.fd.Close()
}

func up(name string) error {
	l, err := netlink.LinkByName(name)
	if err != nil {
		return fmt.Errorf("interface %s: %w", name, err)
	}
	return netlink.LinkSetUp(l)
}

// join connects two namespaces by a veth pair, with clientAddr and serverAddr on its ends.
func join(client, server *namespace) error {
	err := client.run(func() error {
		attrs := netlink.NewLinkAttrs()
		attrs.Name = "bench0"
		if err := netlink.LinkAdd(&netlink.Veth{LinkAttrs: attrs, PeerName: "bench0", PeerNamespace: netlink.NsFd(server.fd.Fd())}); err != nil {
			return err
		}
		return address("bench0", clientAddr.String())
	})
	if err == nil {
		err = server.run(func() error { return address("bench0", serverAddr.String()) })
	}
	if err != nil {
		return &problem{what: "cannot join the two namespaces by a veth pair", why: err.Error(), err: err}
	}
	return nil
}

func address(link, addr string) error {
	l, err := netlink.LinkByName(link)
	if err != nil {
		return err
	}
	a, err := netlink.ParseAddr(addr + "/24")
	if err != nil {
		return err
	}
	if err := netlink.AddrAdd(l, a); err != nil {
		return err
	}
	return netlink.LinkSetUp(l)
}
