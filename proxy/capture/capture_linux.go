package capture

import (
	"errors"
	"fmt"
	"net/netip"
	"unsafe"

	"golang.org/x/sys/unix"
)

// ErrNotRedirected says that the kernel has no address translation for the connection: it was
// dialled straight to the listener. Such a connection must not be forwarded to its local
// address, or the proxy would call itself for ever.
var ErrNotRedirected = errors.New("the connection was not redirected")

// OriginalDst gives the destination that the connection behind fd had before an nftables or
// iptables REDIRECT or DNAT rule changed it (getsockopt SO_ORIGINAL_DST, and for IPv6
// IP6T_SO_ORIGINAL_DST; netfilter_ipv4.h and netfilter_ipv6/ip6_tables.h). v6 says that the
// socket belongs to an IPv6 listener. An IPv6 link-local destination carries no zone.
//
// The socket's own network namespace answers, so the caller may live in another one. The error
// is ErrNotRedirected when the original destination is the socket's own local address.
// Safe for concurrent use; fd stays the caller's.
func OriginalDst(fd int, v6 bool) (netip.AddrPort, error) {
	level, option := unix.SOL_IP, unix.SO_ORIGINAL_DST
	if v6 {
		level, option = unix.SOL_IPV6, unix.SO_ORIGINAL_DST // IP6T_SO_ORIGINAL_DST has the same number, 80
	}
	// Large enough for both; the kernel wants at least the size of the family's sockaddr.
	var raw unix.RawSockaddrInet6
	size := uint32(unix.SizeofSockaddrInet6)
	_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(fd), uintptr(level), uintptr(option),
		uintptr(unsafe.Pointer(&raw)), uintptr(unsafe.Pointer(&size)), 0)
	switch errno {
	case 0:
	case unix.ENOENT, unix.ENOPROTOOPT:
		// ENOENT: no conntrack entry; ENOPROTOOPT: connection tracking is not loaded at all.
		return netip.AddrPort{}, fmt.Errorf("original destination: %w: %w", ErrNotRedirected, errno)
	default:
		return netip.AddrPort{}, fmt.Errorf("original destination: %w", errno)
	}
	dst, err := decode(&raw, size)
	if err != nil {
		return netip.AddrPort{}, err
	}
	if local, err := localAddr(fd); err == nil && local == dst {
		return netip.AddrPort{}, fmt.Errorf("original destination %s: %w", dst, ErrNotRedirected)
	}
	return dst, nil
}

// decode reads a sockaddr of either family, as filled in by the kernel.
func decode(raw *unix.RawSockaddrInet6, size uint32) (netip.AddrPort, error) {
	switch {
	case raw.Family == unix.AF_INET && size >= unix.SizeofSockaddrInet4:
		in := (*unix.RawSockaddrInet4)(unsafe.Pointer(raw))
		return netip.AddrPortFrom(netip.AddrFrom4(in.Addr), hostOrder(in.Port)), nil
	case raw.Family == unix.AF_INET6 && size >= unix.SizeofSockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(raw.Addr).Unmap(), hostOrder(raw.Port)), nil
	}
	return netip.AddrPort{}, fmt.Errorf("original destination: the kernel answered address family %d in %d bytes", raw.Family, size)
}

// hostOrder turns a port as it lies in a sockaddr (network order) into a number, on machines of
// either byte order.
func hostOrder(port uint16) uint16 {
	b := (*[2]byte)(unsafe.Pointer(&port))
	return uint16(b[0])<<8 | uint16(b[1])
}

// localAddr is the address of the socket itself.
func localAddr(fd int) (netip.AddrPort, error) {
	sa, err := unix.Getsockname(fd)
	if err != nil {
		return netip.AddrPort{}, err
	}
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), uint16(sa.Port)), nil
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(sa.Addr).Unmap(), uint16(sa.Port)), nil
	}
	return netip.AddrPort{}, fmt.Errorf("local address of type %T", sa)
}
