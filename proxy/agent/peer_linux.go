package agent

import (
	"fmt"
	"net"
	"os"

	"golang.org/x/sys/unix"
)

// trustPeer checks that the listener of a Unix socket is this user or root (SO_PEERCRED).
func trustPeer(c *net.UnixConn) error {
	raw, err := c.SyscallConn()
	if err != nil {
		return fmt.Errorf("control socket: %w", err)
	}
	var cred *unix.Ucred
	var credErr error
	if err := raw.Control(func(fd uintptr) {
		cred, credErr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	}); err != nil {
		return fmt.Errorf("control socket: %w", err)
	}
	if credErr != nil {
		return fmt.Errorf("control socket: peer credentials: %w", credErr)
	}
	if cred.Uid != 0 && int(cred.Uid) != os.Geteuid() {
		return foreignOwner(cred.Uid)
	}
	return nil
}
