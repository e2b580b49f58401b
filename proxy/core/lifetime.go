package core

import (
	"errors"
	"time"
)

// A link proves identities once, when it is made. So it must not outlive the certificates that
// proved them, nor the roots that they were checked against.

var errExpired = errors.New("the peer's certificate has ended")

// limitLife bounds the life of a link to that of the peer's certificate. Shortly before, it takes
// no new streams, so that those under way can end on it while others use a new link.
func (cn *Conn) limitLife() {
	if cn.until == 0 {
		return
	}
	w := &cn.core.wheel
	margin := min(time.Minute, (cn.until-cn.core.now)/10)
	cn.life.fire = func() {
		if cn.core.now >= cn.until {
			cn.core.warn("link ended", "code", "W3014", "peer", cn.peer, "remote", cn.remote, "err", errExpired)
			cn.gone()
			cn.h.closed(errExpired)
			cn.core.host.Close(cn, true)
			return
		}
		cn.retire()
		w.arm(&cn.life, cn.until)
	}
	w.arm(&cn.life, cn.until-margin)
}

// retire lets the streams of a link end and takes no new ones.
func (cn *Conn) retire() {
	switch h := cn.h.(type) {
	case *h2Client:
		if h.h != nil {
			h.retireWhenIdle()
		}
	case *h2Server:
		h.leave()
	}
}

// RetireLinks ends all links of workload i gracefully: its roots of trust changed, and every peer
// has to prove itself again.
func (c *Core) RetireLinks(i int) {
	var links []*Conn // retiring one may end another
	for cn := c.conns.head; cn != nil; cn = cn.next {
		if cn.link && cn.local.index == i {
			links = append(links, cn)
		}
	}
	for _, cn := range links {
		if !cn.closed {
			cn.retire()
		}
	}
}
