//go:build linux

package epoll

import (
	"net/netip"
	"time"

	"github.com/weft-mesh/weft/model"
	"github.com/weft-mesh/weft/proxy/core"
	"golang.org/x/sys/unix"
)

var _ core.Host = (*Loop)(nil)

// AskLimit implements core.Host.
func (l *Loop) AskLimit(q *core.Question, about core.LimitQuery) {
	if l.ended {
		return
	}
	l.shakes.Add(1)
	go func() { // bounded by the limit's timeout
		defer l.shakes.Done()
		answer, wait := l.opt.AskLimit(l.ctx, about)
		l.post(func() {
			if !l.ended {
				l.core.LimitAnswered(q, about, answer, wait)
			}
		})
	}()
}

// Subscribe implements core.Host.
func (l *Loop) Subscribe(n model.Name) { l.opt.Mesh.Subscribe(n) }

// SubscribeIP implements core.Host.
func (l *Loop) SubscribeIP(a netip.Addr) { l.opt.Mesh.SubscribeIP(a) }

// AddrAbsent implements core.Host.
func (l *Loop) AddrAbsent(a netip.Addr) bool { return l.opt.Mesh.AddrAbsent(a) }

// ServiceOfIP implements core.Host.
func (l *Loop) ServiceOfIP(a netip.Addr) (model.Name, bool) { return l.opt.Mesh.ServiceOfIP(a) }

// Write implements core.Host.
func (l *Loop) Write(cc *core.Conn, p []byte) int {
	c, _ := cc.Driver.(*conn)
	if c == nil || c.fd < 0 {
		return 0
	}
	return c.write(p)
}

// CloseWrite implements core.Host.
func (l *Loop) CloseWrite(cc *core.Conn) {
	c, _ := cc.Driver.(*conn)
	if c == nil || c.fd < 0 {
		return
	}
	if c.tls != nil {
		c.tls.CloseWrite() //nolint:errcheck // the transport never fails
	}
	c.finishing = true
	if len(c.pending) == 0 && !c.piped {
		unix.Shutdown(c.fd, unix.SHUT_WR) //nolint:errcheck // a broken socket shows in epoll
	}
}

// Close implements core.Host.
func (l *Loop) Close(cc *core.Conn, abort bool) {
	c, _ := cc.Driver.(*conn)
	if c == nil || c.fd < 0 {
		return
	}
	c.closed = true
	l.part(c, !abort)
	if abort {
		unix.SetsockoptLinger(c.fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1}) //nolint:errcheck // then it is an ordinary close
		l.closeFD(c)
		return
	}
	if c.tls != nil && !c.shaking && !c.dialing {
		c.tls.CloseWrite() //nolint:errcheck // the transport never fails
	}
	if len(c.pending) > 0 {
		c.closing = true
		l.lingering[c] = time.Now().Add(lingerFor)
		l.interest(c)
		return
	}
	l.closeFD(c)
}

// SetReading implements core.Host.
func (l *Loop) SetReading(cc *core.Conn, on bool) {
	c, _ := cc.Driver.(*conn)
	if c == nil {
		return
	}
	c.off = !on
	if c.fd >= 0 && !c.dialing && !c.closed {
		l.interest(c)
	}
}
