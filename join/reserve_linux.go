package join

import (
	"fmt"
	"net/netip"
	"os"

	"golang.org/x/sys/unix"
)

// reserve binds a socket that never listens. On Linux such a socket, with SO_REUSEADDR, keeps
// its port from being chosen for anybody, while a listener that has SO_REUSEADDR too and names
// the port may still bind it (inet_bind_conflict in net/ipv4/inet_connection_sock.c).
func reserve(a netip.AddrPort) (*os.File, netip.AddrPort, error) {
	family := unix.AF_INET
	if a.Addr().Is6() {
		family = unix.AF_INET6
	}
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, netip.AddrPort{}, err
	}
	f := os.NewFile(uintptr(fd), "reservation")
	got, err := bindReserved(fd, a)
	if err != nil {
		_ = f.Close()
		return nil, netip.AddrPort{}, err
	}
	return f, got, nil
}

func bindReserved(fd int, a netip.AddrPort) (netip.AddrPort, error) {
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err != nil {
		return netip.AddrPort{}, err
	}
	var sa unix.Sockaddr
	if a.Addr().Is6() {
		sa = &unix.SockaddrInet6{Addr: a.Addr().As16()}
	} else {
		sa = &unix.SockaddrInet4{Addr: a.Addr().As4()}
	}
	if err := unix.Bind(fd, sa); err != nil {
		return netip.AddrPort{}, err
	}
	local, err := unix.Getsockname(fd)
	if err != nil {
		return netip.AddrPort{}, err
	}
	switch local := local.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(a.Addr(), uint16(local.Port)), nil
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(a.Addr(), uint16(local.Port)), nil
	}
	return netip.AddrPort{}, fmt.Errorf("local address of type %T", local)
}
