//go:build linux

package epoll

import (
	"fmt"
	"net"
	"testing"

	"github.com/weft-mesh/weft/proxy/core"
	"github.com/weft-mesh/weft/proxy/drive"
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
	s := fmt.Sprintf("nodelay %d user timeout %d", get(unix.IPPROTO_TCP, unix.TCP_NODELAY), get(unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT))
	if get(unix.SOL_SOCKET, unix.SO_KEEPALIVE) == 0 {
		return s
	}
	return s + fmt.Sprintf(" probe after %d every %d times %d", get(unix.IPPROTO_TCP, unix.TCP_KEEPIDLE), get(unix.IPPROTO_TCP, unix.TCP_KEEPINTVL), get(unix.IPPROTO_TCP, unix.TCP_KEEPCNT))
}

// TestAcceptedConnectionsAreTuned: partly by inheritance from the listener; and peers on this host are
// not probed, since probes of many connections at once do not fit into the loopback's queue.
func TestAcceptedConnectionsAreTuned(t *testing.T) {
	for _, tc := range []struct{ listen, want string }{
		{"127.0.0.1:0", "nodelay 1 user timeout 45000"},
		{"[::1]:0", "nodelay 1 user timeout 45000"},
		{"0.0.0.0:0", "nodelay 1 user timeout 45000 probe after 30 every 5 times 3"},
	} {
		t.Run(tc.listen, func(t *testing.T) {
			ln, err := net.Listen("tcp", tc.listen)
			if err != nil {
				t.Skipf("skipped: this machine cannot listen there: %v", err)
			}
			defer ln.Close()
			epfd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
			if err != nil {
				t.Fatal(err)
			}
			defer unix.Close(epfd)
			l := &Loop{epfd: epfd}
			defer l.stopAccepting()
			if err := l.listen(drive.Listener{Core: &core.Listener{}, TCP: ln.(*net.TCPListener)}); err != nil {
				t.Fatal(err)
			}
			c, err := net.Dial("tcp", ln.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			fd, _, err := unix.Accept4(l.listeners[0].fd, unix.SOCK_CLOEXEC)
			if err != nil {
				t.Fatal(err)
			}
			defer unix.Close(fd)
			tuneAccepted(fd)
			if got := options(fd); got != tc.want {
				t.Errorf("it is set to %s, want %s", got, tc.want)
			}
		})
	}
}
