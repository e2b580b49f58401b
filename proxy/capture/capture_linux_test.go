package capture

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"
	"testing"
	"unsafe"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// inNamespace runs f on a thread in a network namespace of its own, which ends with it. All
// sockets that f opens are of that namespace.
func inNamespace(t *testing.T, f func() error) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("skipped: a network namespace and nftables need root")
	}
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			done <- fmt.Errorf("unshare: %w", err)
			return
		}
		done <- f()
	}()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

// redirectAll brings lo up, routes everything to it, and redirects TCP to port 80 and 443 of
// any address to the given port.
func redirectAll(to uint16) error {
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return err
	}
	if err := netlink.LinkSetUp(lo); err != nil {
		return err
	}
	for _, all := range []net.IPNet{
		{IP: net.IPv4zero, Mask: net.CIDRMask(0, 32)}, {IP: net.IPv6zero, Mask: net.CIDRMask(0, 128)},
	} {
		if err := netlink.RouteAdd(&netlink.Route{LinkIndex: lo.Attrs().Index, Dst: &all}); err != nil {
			return err
		}
	}
	c, err := nftables.New()
	if err != nil {
		return err
	}
	table := c.AddTable(&nftables.Table{Family: nftables.TableFamilyINet, Name: "test"})
	chain := c.AddChain(&nftables.Chain{
		Name: "out", Table: table, Type: nftables.ChainTypeNAT,
		Hooknum: nftables.ChainHookOutput, Priority: nftables.ChainPriorityNATDest,
	})
	for _, port := range []uint16{80, 443} {
		c.AddRule(&nftables.Rule{Table: table, Chain: chain, Exprs: []expr.Any{
			&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: 1},
			&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{unix.IPPROTO_TCP}},
			&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Offset: 2, Len: 2},
			&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: binaryutil.BigEndian.PutUint16(port)},
			&expr.Immediate{Register: 1, Data: binaryutil.BigEndian.PutUint16(to)},
			&expr.Redir{RegisterProtoMin: 1},
		}})
	}
	return c.Flush()
}

// accepted dials a destination and gives the other end, as accepted by the listener. All are
// blocking sockets of the calling thread's namespace.
func accepted(listener int, dst netip.AddrPort) (server int, closeBoth func(), err error) {
	family := unix.AF_INET
	var sa unix.Sockaddr = &unix.SockaddrInet4{Addr: [4]byte{}, Port: int(dst.Port())}
	if dst.Addr().Is6() {
		family, sa = unix.AF_INET6, &unix.SockaddrInet6{Addr: dst.Addr().As16(), Port: int(dst.Port())}
	} else {
		sa.(*unix.SockaddrInet4).Addr = dst.Addr().As4()
	}
	client, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, nil, err
	}
	// A reply that never comes must fail the test and not hang it.
	limit := unix.Timeval{Sec: 3}
	_ = unix.SetsockoptTimeval(client, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &limit)
	_ = unix.SetsockoptTimeval(listener, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &limit)
	if err := unix.Connect(client, sa); err != nil {
		_ = unix.Close(client)
		return -1, nil, fmt.Errorf("connect to %s: %w", dst, err)
	}
	server, _, err = unix.Accept4(listener, unix.SOCK_CLOEXEC)
	if err != nil {
		_ = unix.Close(client)
		return -1, nil, fmt.Errorf("accept: %w", err)
	}
	return server, func() { _ = unix.Close(server); _ = unix.Close(client) }, nil
}

func listener(v6 bool, port int) (int, error) {
	family := unix.AF_INET
	var sa unix.Sockaddr = &unix.SockaddrInet4{Port: port}
	if v6 {
		family, sa = unix.AF_INET6, &unix.SockaddrInet6{Port: port}
	}
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	if v6 {
		if err := unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 1); err != nil {
			return fd, err
		}
	}
	if err := unix.Bind(fd, sa); err != nil {
		return fd, err
	}
	return fd, unix.Listen(fd, 8)
}

func TestTheOriginalDestinationOfRedirectedConnections(t *testing.T) {
	for _, tc := range []struct {
		name string
		dst  string
		v6   bool
	}{
		{"IPv4", "198.51.100.7:80", false},
		{"IPv4, another port", "203.0.113.1:443", false},
		{"IPv6", "[2001:db8::7]:443", true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			inNamespace(t, func() error {
				if _, err := os.Stat("/proc/thread-self/net/if_inet6"); tc.v6 && err != nil {
					t.Skip("skipped: this kernel has no IPv6")
				}
				const port = 9000
				if err := redirectAll(port); err != nil {
					return err
				}
				l, err := listener(tc.v6, port)
				if err != nil {
					return err
				}
				defer func() { _ = unix.Close(l) }()
				want := netip.MustParseAddrPort(tc.dst)
				fd, done, err := accepted(l, want)
				if err != nil {
					return err
				}
				defer done()
				got, err := OriginalDst(fd, tc.v6)
				if err != nil || got != want {
					t.Errorf("OriginalDst = %v, %v; want %v", got, err, want)
				}
				// Asked from a thread of another namespace it is the same: the proxy lives outside.
				type answer struct {
					dst netip.AddrPort
					err error
				}
				other := make(chan answer)
				go func() { d, err := OriginalDst(fd, tc.v6); other <- answer{d, err} }()
				if a := <-other; a.err != nil || a.dst != want {
					t.Errorf("from outside: %v, %v; want %v", a.dst, a.err, want)
				}
				return nil
			})
		})
	}
}

func TestAConnectionThatWasNotRedirectedIsKnown(t *testing.T) {
	inNamespace(t, func() error {
		const port = 9000
		if err := redirectAll(port); err != nil {
			return err
		}
		l, err := listener(false, port)
		if err != nil {
			return err
		}
		defer func() { _ = unix.Close(l) }()
		fd, done, err := accepted(l, netip.MustParseAddrPort("127.0.0.1:9000"))
		if err != nil {
			return err
		}
		defer done()
		if got, err := OriginalDst(fd, false); !errors.Is(err, ErrNotRedirected) {
			t.Errorf("OriginalDst = %v, %v; the proxy would call itself", got, err)
		}
		return nil
	})
}

func TestWhatIsNoConnectionIsAnError(t *testing.T) {
	if got, err := OriginalDst(-1, false); err == nil {
		t.Errorf("of no descriptor: %v", got)
	}
	f, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	for _, v6 := range []bool{false, true} {
		if got, err := OriginalDst(int(f.Fd()), v6); err == nil {
			t.Errorf("of a file: %v", got)
		}
	}
}

func TestSockaddrsAreDecodedWhateverTheByteOrder(t *testing.T) {
	var raw unix.RawSockaddrInet6
	in := (*unix.RawSockaddrInet4)(unsafe.Pointer(&raw))
	in.Family, in.Addr = unix.AF_INET, [4]byte{192, 0, 2, 1}
	*(*[2]byte)(unsafe.Pointer(&in.Port)) = [2]byte{0x1f, 0x90}
	if got, err := decode(&raw, unix.SizeofSockaddrInet4); err != nil || got.String() != "192.0.2.1:8080" {
		t.Errorf("%v, %v", got, err)
	}
	if got, err := decode(&raw, 4); err == nil {
		t.Errorf("cut short: %v", got)
	}
	raw = unix.RawSockaddrInet6{Family: unix.AF_INET6, Addr: netip.MustParseAddr("2001:db8::1").As16()}
	*(*[2]byte)(unsafe.Pointer(&raw.Port)) = [2]byte{0x01, 0xbb}
	if got, err := decode(&raw, unix.SizeofSockaddrInet6); err != nil || got.String() != "[2001:db8::1]:443" {
		t.Errorf("%v, %v", got, err)
	}
	if got, err := decode(&unix.RawSockaddrInet6{Family: unix.AF_UNIX}, 28); err == nil {
		t.Errorf("of another family: %v", got)
	}
}
