//go:build !linux

package capture

import (
	"errors"
	"net/netip"
)

// ErrNotRedirected says that the kernel has no address translation for the connection.
var ErrNotRedirected = errors.New("the connection was not redirected")

// OriginalDst is known on Linux only; elsewhere it is always an error.
func OriginalDst(int, bool) (netip.AddrPort, error) {
	return netip.AddrPort{}, errors.New("original destination: transparent capture needs Linux")
}
