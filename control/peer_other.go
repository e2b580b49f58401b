//go:build !(linux || darwin || freebsd)

package control

import (
	"errors"
	"net"
	"runtime"
)

// peerOf refuses: without knowing who connects nobody may be given an identity.
func peerOf(*net.UnixConn) (socketPeer, error) {
	return socketPeer{}, errors.New("control socket: the peer's user cannot be told on " + runtime.GOOS)
}
