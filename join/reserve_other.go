//go:build !linux

package join

import (
	"net/netip"
	"os"
)

// reserve cannot be done here: a bound socket keeps everybody from the port, the proxy too.
func reserve(netip.AddrPort) (*os.File, netip.AddrPort, error) { return nil, netip.AddrPort{}, nil }
