//go:build linux

package epoll

import (
	"net/netip"
	"time"

	"golang.org/x/sys/unix"
)

// How a dead peer is found out: after silence it is probed, and given up after as many probes as may be
// lost. The time for what was sent to be acknowledged is that of all probes together: while it runs
// out at the first probe already, one that is lost ends the connection.
const (
	probeAfter  = 30 * time.Second
	probeEvery  = 5 * time.Second
	probes      = 3
	userTimeout = probeAfter + probes*probeEvery
)

// tune sets what every socket of ours wants, a listener's for what it accepts: no delay, and an end
// in sight for dead peers.
//
// A peer on this host is not probed: its kernel is ours, and tells its end. Probing harms there: 8000
// idle connections that one program had made at once were probed at once, most of the probes did not
// fit into the loopback's queue of 1000 packets (net.core.netdev_max_backlog), and 6000 were lost.
func tune(fd int, peer netip.Addr) {
	unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1) //nolint:errcheck // best effort
	tuneAccepted(fd)
	if peer.Unmap().IsLoopback() {
		return
	}
	unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1)                             //nolint:errcheck // best effort
	unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, int(probeAfter/time.Second))  //nolint:errcheck // best effort
	unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, int(probeEvery/time.Second)) //nolint:errcheck // best effort
	unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_KEEPCNT, probes)                        //nolint:errcheck // best effort
}

// tuneAccepted sets what a connection does not inherit from its listener.
func tuneAccepted(fd int) {
	unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(userTimeout/time.Millisecond)) //nolint:errcheck // best effort
}
