//go:build !linux

package agent

import (
	"net"
	"os"
)

// trustPeer relies on the mode of the socket's directory where the system does not tell the
// peer's user in a common way.
func trustPeer(*net.UnixConn) error {
	_ = foreignOwner
	_ = os.Geteuid
	return nil
}
