package node

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// sideDoors are sockets by which the C library asks a daemon on the host for names instead of
// sending DNS packets: systemd-resolved (nss-resolve) and nscd. The daemon knows no service of
// the mesh, so processes inside must not find it; they then fall back to DNS.
var sideDoors = []string{
	"/run/systemd/resolve/io.systemd.Resolve",
	"/run/nscd/socket",
}

// mountResolver gives the calling thread a mount namespace of its own in which resolvConf lies
// over /etc/resolv.conf. Mounts made here are seen by this thread and its children only; mounts
// that the host makes later still arrive. Without resolvConf nothing is done.
func mountResolver(resolvConf string) error {
	if resolvConf == "" {
		return nil
	}
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		return fmt.Errorf("unshare of mounts: %w", err)
	}
	// Before anything else, or our mounts would travel back to the host.
	if err := unix.Mount("", "/", "", unix.MS_SLAVE|unix.MS_REC, ""); err != nil {
		return fmt.Errorf("separating mounts: %w", err)
	}
	for _, path := range sideDoors {
		if _, err := os.Lstat(path); errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err := unix.Mount("/dev/null", path, "", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("hiding %s: %w", path, err)
		}
	}
	// A missing file, or a link to nowhere, needs nothing: the C library then asks
	// 127.0.0.1:53, which is redirected like every other server.
	if _, err := os.Stat("/etc/resolv.conf"); errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err := unix.Mount(resolvConf, "/etc/resolv.conf", "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("mounting %s over /etc/resolv.conf: %w", resolvConf, err)
	}
	return nil
}
