package control

import (
	"fmt"
	"net"

	"golang.org/x/sys/unix"
)

// peerOf asks the kernel for the process that connected (SO_PEERCRED). It cannot be forged.
func peerOf(c *net.UnixConn) (socketPeer, error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return socketPeer{}, fmt.Errorf("control socket: %w", err)
	}
	var cred *unix.Ucred
	var credErr error
	if err := raw.Control(func(fd uintptr) {
		cred, credErr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	}); err != nil {
		return socketPeer{}, fmt.Errorf("control socket: %w", err)
	}
	if credErr != nil {
		return socketPeer{}, fmt.Errorf("control socket: peer credentials: %w", credErr)
	}
	return socketPeer{uid: cred.Uid, pid: cred.Pid}, nil
}
