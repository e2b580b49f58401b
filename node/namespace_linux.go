package node

import (
	"errors"
	"fmt"
	"hash/fnv"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"strings"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/weft-mesh/weft/codes"
)

// insideLink is the name of the veth inside a namespace.
const insideLink = "eth0"

// Namespace is an anonymous network namespace joined to the caller's by a veth pair. Inside,
// every TCP connection that leaves, and every DNS query, is redirected to Sockets; all else that
// would leave is refused. It has no name anywhere: it ends with the last process or descriptor
// inside, so that nothing remains when its owner is killed.
//
// Not safe for concurrent use, but for Thread.
type Namespace struct {
	thread  *Thread
	link    string // on the host; empty before it was made
	v4, v6  Ends
	sockets Sockets
	ports   [2][2]uint16 // by family (0: IPv4), then 0: TCP, 1: DNS
}

// New makes a Namespace. It needs root (CAP_NET_ADMIN and CAP_SYS_ADMIN); failures are coded
// and leave nothing behind. The caller must Close it.
func New(o Options) (*Namespace, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if err := Supported(); err != nil {
		return nil, err
	}
	n := &Namespace{thread: NewThread()}
	if err := n.build(o); err != nil {
		_ = n.Close()
		return nil, err
	}
	return n, nil
}

// Supported tells why this process cannot make a Namespace, or nil.
func Supported() error {
	if os.Geteuid() != 0 {
		e := codes.New("W4150", "--transparent needs root")
		e.Why = fmt.Sprintf("this process runs as uid %d; a network namespace and its rules need CAP_NET_ADMIN and CAP_SYS_ADMIN", os.Geteuid())
		e.Next = []string{"run the same command with sudo", "leave out --transparent: http_proxy and WEFT_<SERVICE>_URL need no root"}
		return e
	}
	return nil
}

// build does the work of New, one step after the other. The order matters: the rules are in
// force before there is a way out.
func (n *Namespace) build(o Options) error {
	steps := []struct {
		name string
		do   func() error
	}{
		{"making a network namespace", func() error { return n.thread.Do(unshareNet) }},
		{"opening sockets inside it", func() error { return n.thread.Do(n.openSockets) }},
		{"writing its nftables rules", func() error { return n.thread.Do(n.writeRules) }},
		{"joining it by a veth pair", n.joinLink},
		{"setting addresses inside it", func() error { return n.thread.Do(n.configureInside) }},
	}
	for _, s := range steps {
		if err := s.do(); err != nil {
			return stepError(s.name, err)
		}
	}
	// Names that the redirection of port 53 misses (name services asked over Unix sockets) are
	// a loss of comfort, not of safety, so a machine that forbids mounts still gets the rest.
	if err := n.thread.Do(func() error { return mountResolver(o.ResolvConf) }); err != nil {
		o.Log.Warn("the application keeps the machine's /etc/resolv.conf; DNS is still redirected", "err", err)
	}
	return nil
}

// stepError codes a failure of the kernel.
func stepError(step string, err error) error {
	var coded *codes.Error
	if errors.As(err, &coded) {
		return err
	}
	e := codes.New("W4151", "cannot prepare the network namespace for --transparent")
	e.Why = step + ": " + err.Error()
	e.Err = err
	switch {
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES):
		e.Next = []string{"containers and hardened units take rights from root; allow CAP_NET_ADMIN and CAP_SYS_ADMIN"}
	case errors.Is(err, unix.EOPNOTSUPP), errors.Is(err, unix.ENOENT), errors.Is(err, unix.EAFNOSUPPORT):
		e.Next = []string{"sudo modprobe -a veth nf_tables nft_chain_nat nft_redir nft_reject_inet nf_conntrack"}
	}
	e.Next = append(e.Next, "leave out --transparent: http_proxy and WEFT_<SERVICE>_URL need none of this")
	return e
}

// unshareNet gives the calling thread a network namespace of its own, with lo up.
func unshareNet() error {
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("unshare: %w", err)
	}
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return fmt.Errorf("finding lo: %w", err)
	}
	return netlink.LinkSetUp(lo)
}

// openSockets opens what Sockets holds. Redirected packets arrive on the loopback addresses
// (nft redirect in the output hook translates to them).
func (n *Namespace) openSockets() error {
	for family, addr := range []string{"127.0.0.1", "::1"} {
		if family == 1 && !haveIPv6() {
			break
		}
		tcp, tcpPort, err := openSocket(netip.MustParseAddr(addr), unix.SOCK_STREAM)
		if err != nil {
			return err
		}
		n.sockets.TCP = append(n.sockets.TCP, tcp)
		udp, udpPort, err := openSocket(netip.MustParseAddr(addr), unix.SOCK_DGRAM)
		if err != nil {
			return err
		}
		n.sockets.DNS = append(n.sockets.DNS, udp)
		n.ports[family] = [2]uint16{tcpPort, udpPort}
	}
	return nil
}

// haveIPv6 reports whether the calling thread's namespace can speak IPv6 on its loopback.
func haveIPv6() bool {
	if _, err := os.Stat("/proc/thread-self/net/if_inet6"); err != nil {
		return false
	}
	// A machine may have it compiled in and switched off; inside we may switch it on.
	for _, scope := range []string{"all", "default", "lo"} {
		_ = writeSysctl("net/ipv6/conf/"+scope+"/disable_ipv6", "0")
	}
	s, err := unix.Socket(unix.AF_INET6, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return false
	}
	defer func() { _ = unix.Close(s) }()
	return unix.Bind(s, &unix.SockaddrInet6{Addr: netip.IPv6Loopback().As16()}) == nil
}

// openSocket binds a socket to a port that the kernel chooses; a stream socket listens.
func openSocket(addr netip.Addr, kind int) (*os.File, uint16, error) {
	family := unix.AF_INET
	var sa unix.Sockaddr
	if addr.Is6() {
		family, sa = unix.AF_INET6, &unix.SockaddrInet6{Addr: addr.As16()}
	} else {
		sa = &unix.SockaddrInet4{Addr: addr.As4()}
	}
	fd, err := unix.Socket(family, kind|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, 0, fmt.Errorf("socket for %s: %w", addr, err)
	}
	f := os.NewFile(uintptr(fd), "weft "+addr.String())
	if err := bindSocket(fd, family, kind, sa); err != nil {
		_ = f.Close()
		return nil, 0, fmt.Errorf("socket for %s: %w", addr, err)
	}
	local, err := unix.Getsockname(fd)
	if err != nil {
		_ = f.Close()
		return nil, 0, fmt.Errorf("socket for %s: %w", addr, err)
	}
	switch local := local.(type) {
	case *unix.SockaddrInet4:
		return f, uint16(local.Port), nil
	case *unix.SockaddrInet6:
		return f, uint16(local.Port), nil
	}
	_ = f.Close()
	return nil, 0, fmt.Errorf("socket for %s: local address of type %T", addr, local)
}

func bindSocket(fd, family, kind int, sa unix.Sockaddr) error {
	if family == unix.AF_INET6 {
		if err := unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 1); err != nil {
			return err
		}
	}
	if err := unix.Bind(fd, sa); err != nil {
		return err
	}
	if kind == unix.SOCK_STREAM {
		// Connections wait here while a proxy restarts; the kernel cuts this to somaxconn.
		return unix.Listen(fd, 4096)
	}
	return nil
}

// joinLink makes the veth pair and the host's end of it.
func (n *Namespace) joinLink() error {
	netns := -1
	err := n.thread.Do(func() (err error) {
		netns, err = unix.Open("/proc/thread-self/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0)
		return err
	})
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(netns) }()

	used, err := usedPrefixes()
	if err != nil {
		return err
	}
	self := Self()
	h := fnv.New32a()
	_, _ = h.Write([]byte(self.String()))
	var chosen block
	err = errors.New("no free pair of addresses in 169.254.0.0/16")
	choose(h.Sum32(), used, func(b block) bool {
		veth := &netlink.Veth{
			LinkAttrs:     netlink.NewLinkAttrs(),
			PeerName:      insideLink,
			PeerNamespace: netlink.NsFd(netns),
		}
		veth.Name = b.linkName()
		err = netlink.LinkAdd(veth)
		if errors.Is(err, unix.EEXIST) {
			return false // somebody else's; the next
		}
		chosen = b
		return true
	})
	if err != nil {
		return fmt.Errorf("adding the link: %w", err)
	}
	n.link = chosen.linkName()
	// The kernel takes no alias at creation. An owner killed before this line has no child
	// inside yet, so that the link ends with it and needs no mark.
	if link, err := netlink.LinkByName(n.link); err != nil {
		return fmt.Errorf("finding %s: %w", n.link, err)
	} else if err := netlink.LinkSetAlias(link, alias(self)); err != nil {
		return fmt.Errorf("marking %s: %w", n.link, err)
	}
	n.v4 = Ends{Host: chosen.host4(), Inside: chosen.inside4()}
	if len(n.sockets.TCP) > 1 {
		n.v6 = Ends{Host: chosen.host6(), Inside: chosen.inside6()}
	}
	if err := configureLink(n.link, n.v4.Host, n.v6.Host); err != nil {
		// The host may have IPv6 switched off while the namespace has it. Then IPv4 carries
		// the few packets that cross the pair; capture inside works in both families.
		if !n.v6.Host.IsValid() {
			return err
		}
		n.v6 = Ends{}
		return configureLink(n.link, n.v4.Host, netip.Addr{})
	}
	return nil
}

// usedPrefixes are the networks of the host's addresses and routes.
func usedPrefixes() ([]netip.Prefix, error) {
	var used []netip.Prefix
	add := func(p *net.IPNet) {
		if p == nil {
			return
		}
		addr, ok := netip.AddrFromSlice(p.IP)
		ones, _ := p.Mask.Size()
		if ok {
			used = append(used, netip.PrefixFrom(addr.Unmap(), ones))
		}
	}
	addrs, err := netlink.AddrList(nil, netlink.FAMILY_ALL)
	if err != nil {
		return nil, fmt.Errorf("listing addresses: %w", err)
	}
	for _, a := range addrs {
		add(a.IPNet)
	}
	routes, err := netlink.RouteList(nil, netlink.FAMILY_ALL)
	if err != nil {
		return nil, fmt.Errorf("listing routes: %w", err)
	}
	for _, r := range routes {
		add(r.Dst)
	}
	return used, nil
}

// configureInside sets addresses, routes and sysctls of the calling thread's namespace.
func (n *Namespace) configureInside() error {
	if err := configureLink(insideLink, n.v4.Inside, n.v6.Inside); err != nil {
		return err
	}
	// Inbound connections are translated to 127.0.0.1, so that an application need not listen
	// on more; the kernel takes such packets for forged ones unless it is told.
	if err := writeSysctl("net/ipv4/conf/"+insideLink+"/route_localnet", "1"); err != nil {
		return err
	}
	link, err := netlink.LinkByName(insideLink)
	if err != nil {
		return fmt.Errorf("finding %s: %w", insideLink, err)
	}
	// A connection needs a route before its packets meet the rule that turns them round.
	if err := addDefaultRoute(link, net.IPNet{IP: net.IPv4zero, Mask: net.CIDRMask(0, 32)}, n.v4.Host); err != nil {
		return err
	}
	if len(n.sockets.TCP) < 2 {
		return nil // no IPv6 on this machine
	}
	return addDefaultRoute(link, net.IPNet{IP: net.IPv6zero, Mask: net.CIDRMask(0, 128)}, n.v6.Host)
}

// addDefaultRoute sends everything to a gateway; without one (the host's end has no IPv6, and
// nothing crosses the pair anyway) simply to the link.
func addDefaultRoute(link netlink.Link, all net.IPNet, via netip.Addr) error {
	route := &netlink.Route{LinkIndex: link.Attrs().Index, Dst: &all}
	if via.IsValid() {
		route.Gw = via.AsSlice()
	}
	if err := netlink.RouteAdd(route); err != nil {
		return fmt.Errorf("default route %s via %s: %w", all.String(), via, err)
	}
	return nil
}

// configureLink gives a link its addresses, without duplicate detection (the pair has two ends
// and we set both), and brings it up.
func configureLink(name string, addrs ...netip.Addr) error {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return fmt.Errorf("finding %s: %w", name, err)
	}
	if err := netlink.LinkSetUp(link); err != nil {
		return fmt.Errorf("bringing %s up: %w", name, err)
	}
	for _, a := range addrs {
		if !a.IsValid() {
			continue
		}
		bits, flags := 30, 0
		if a.Is6() {
			bits, flags = 64, unix.IFA_F_NODAD
		}
		err := netlink.AddrReplace(link, &netlink.Addr{
			IPNet: &net.IPNet{IP: a.AsSlice(), Mask: net.CIDRMask(bits, a.BitLen())},
			Flags: flags,
		})
		if err != nil {
			return fmt.Errorf("address %s on %s: %w", a, name, err)
		}
		if err := awaitLocal(a); err != nil {
			return fmt.Errorf("address %s on %s: %w", a, name, err)
		}
	}
	return nil
}

// awaitLocal waits until the kernel delivers packets for an address to this namespace. For IPv6
// it makes the route for that in the background (addrconf_dad_work), even without duplicate
// detection; answers sent in between would leave by the link and be lost.
func awaitLocal(a netip.Addr) error {
	const patience = 2 * time.Second
	for deadline := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		routes, err := netlink.RouteGet(a.AsSlice())
		if err == nil && len(routes) > 0 && routes[0].Type == unix.RTN_LOCAL {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("the kernel made no local route for it in %s", patience)
		}
	}
}

// writeSysctl sets a value in the calling thread's network namespace: /proc/sys/net shows the
// namespace of the thread that opens a file there.
func writeSysctl(key, value string) error {
	path := "/proc/sys/" + key
	if now, err := os.ReadFile(path); err == nil && strings.TrimSpace(string(now)) == value {
		return nil // /proc/sys is read-only in many containers; no need to fail over nothing
	}
	if err := os.WriteFile(path, []byte(value), 0); err != nil {
		return fmt.Errorf("sysctl %s=%s: %w", strings.ReplaceAll(key, "/", "."), value, err)
	}
	return nil
}

// Thread is a thread inside the namespace. Children started on it run inside.
func (n *Namespace) Thread() *Thread { return n.thread }

// Sockets are the sockets to hand to the proxy.
func (n *Namespace) Sockets() Sockets { return n.sockets }

// IPv4 gives the IPv4 ends of the pair.
func (n *Namespace) IPv4() Ends { return n.v4 }

// IPv6 gives the IPv6 ends; they are invalid where the host has no IPv6.
func (n *Namespace) IPv6() Ends { return n.v6 }

// Link is the name of the link on the host.
func (n *Namespace) Link() string { return n.link }

// Close removes the link and lets go of the namespace. Processes that are still inside keep
// running there, cut off.
func (n *Namespace) Close() error {
	var first error
	if n.link != "" {
		if err := removeLink(n.link); err != nil {
			first = stepError("removing "+n.link, err)
		}
		n.link = ""
	}
	for _, f := range append(n.sockets.TCP, n.sockets.DNS...) {
		_ = f.Close()
	}
	n.sockets = Sockets{}
	n.thread.Close()
	return first
}

// removeLink deletes a link of the caller's namespace; one that is gone already is no error.
func removeLink(name string) error {
	link, err := netlink.LinkByName(name)
	if err == nil {
		err = netlink.LinkDel(link)
	}
	var missing netlink.LinkNotFoundError
	if errors.As(err, &missing) || errors.Is(err, unix.ENODEV) {
		return nil
	}
	return err
}
