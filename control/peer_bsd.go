//go:build darwin || freebsd

package control

import (
	"fmt"
	"net"

	"golang.org/x/sys/unix"
)

// peerOf asks the kernel for the user that connected (LOCAL_PEERCRED). It cannot be forged.
func peerOf(c *net.UnixConn) (socketPeer, error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return socketPeer{}, fmt.Errorf("control socket: %w", err)
	}
	var cred *unix.Xucred
	var credErr error
	if err := raw.Control(func(fd uintptr) {
		cred, credErr = unix.GetsockoptXucred(int(fd), 0, unix.LOCAL_PEERCRED)
	}); err != nil {
		return socketPeer{}, fmt.Errorf("control socket: %w", err)
	}
	if credErr != nil {
		return socketPeer{}, fmt.Errorf("control socket: peer credentials: %w", credErr)
	}
	return socketPeer{uid: cred.Uid}, nil
}
