package rig

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"
	"sync"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Namespace is a network namespace without a name. It lives as long as its thread, this process's
// descriptor and the processes inside, so nothing is left behind however the bench ends.
type Namespace struct {
	work chan func()
	fd   *os.File
	done sync.WaitGroup
}

// NewNamespace makes a namespace with its loopback up. Close ends it.
func NewNamespace() (*Namespace, error) {
	n := &Namespace{work: make(chan func())}
	started := make(chan error, 1)
	n.done.Add(1)
	go n.serve(started)
	if err := <-started; err != nil {
		return nil, &Problem{What: "cannot make a network namespace", Why: err.Error(), Err: err}
	}
	return n, nil
}

// serve runs functions on a thread inside the namespace until work is closed. The thread is never
// given back: it ends with the goroutine, and until then it is the parent for PDEATHSIG of the
// processes started on it (prctl(2): the signal follows the thread, not the process).
func (n *Namespace) serve(started chan<- error) {
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

// Run calls f on the namespace's thread. Sockets that f opens and processes that it starts belong
// to the namespace.
func (n *Namespace) Run(f func() error) error {
	res := make(chan error, 1)
	n.work <- func() { res <- f() }
	return <-res
}

// Dial connects from inside the namespace. addr must be numeric: resolving would leave the thread.
func (n *Namespace) Dial(ctx context.Context, addr string) (net.Conn, error) {
	var c net.Conn
	err := n.Run(func() (err error) {
		c, err = (&net.Dialer{}).DialContext(ctx, "tcp", addr)
		return err
	})
	return c, err
}

// Close ends the namespace's thread. Processes inside must have ended.
func (n *Namespace) Close() {
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

// Join connects two namespaces by a veth pair called name, with addresses of one /24 on its ends:
// the first of each is its own, more are further ones.
func Join(name string, client *Namespace, clientAddrs []netip.Addr, server *Namespace, serverAddrs []netip.Addr) error {
	err := client.Run(func() error {
		attrs := netlink.NewLinkAttrs()
		attrs.Name = name
		if err := netlink.LinkAdd(&netlink.Veth{LinkAttrs: attrs, PeerName: name, PeerNamespace: netlink.NsFd(server.fd.Fd())}); err != nil {
			return err
		}
		return addresses(name, clientAddrs)
	})
	if err == nil {
		err = server.Run(func() error { return addresses(name, serverAddrs) })
	}
	if err != nil {
		return &Problem{What: "cannot join the two namespaces by a veth pair", Why: err.Error(), Err: err}
	}
	return nil
}

func addresses(link string, addrs []netip.Addr) error {
	l, err := netlink.LinkByName(link)
	if err != nil {
		return err
	}
	for _, addr := range addrs {
		a, err := netlink.ParseAddr(addr.String() + "/24")
		if err != nil {
			return err
		}
		if err := netlink.AddrAdd(l, a); err != nil {
			return err
		}
	}
	return netlink.LinkSetUp(l)
}
