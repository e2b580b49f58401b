package join

import (
	"fmt"
	"net/netip"
	"os"
)

// reservations hold ports for a proxy, so that it has the same ones when it is started again.
type reservations struct{ files []*os.File }

// take turns an address with port 0 into one with a port that nobody else is given while the
// reservation lasts. Where the system cannot do that the address is given back as it is, and
// the proxy's own choice is kept instead (see supervisor.adopt). So are addresses with a port.
func (r *reservations) take(addr string) (string, error) {
	a, err := netip.ParseAddrPort(addr)
	if err != nil {
		return "", fmt.Errorf("address %q: %w", addr, err)
	}
	if a.Port() != 0 {
		return addr, nil
	}
	f, got, err := reserve(a)
	if err != nil {
		return "", fmt.Errorf("reserving a port of %s: %w", a.Addr(), err)
	}
	if f == nil {
		return addr, nil
	}
	r.files = append(r.files, f)
	return got.String(), nil
}

// release gives everything back.
func (r *reservations) release() {
	for _, f := range r.files {
		_ = f.Close()
	}
	r.files = nil
}
