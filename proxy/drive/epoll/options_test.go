//go:build linux

package epoll

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// options tells what a socket is set to.
func options(fd int) string {
	get := func(level, opt int) int {
		v, err := unix.GetsockoptInt(fd, level, opt)
		if err != nil {
			return -1
		}
		return v
	}
	return fmt.Sprintf("nodelay %d keepalive %d idle %d timeout %d", get(unix.IPPROTO_TCP, unix.TCP_NODELAY),
		get(unix.SOL_SOCKET, unix.SO_KEEPALIVE), get(unix.IPPROTO_TCP, unix.TCP_KEEPIDLE), get(unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT))
}
