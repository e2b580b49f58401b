package core

import (
	"net/netip"

	"github.com/weft-mesh/weft/model"
)

// waiter waits for the control plane's answer about a service.
type waiter interface{ wake() }

// waitFor asks for a service that is not known yet and lists w for the answer. The list is
// bounded; beyond it waiters run into their own deadlines.
func (c *Core) waitFor(n model.Name, w waiter) {
	list := c.waiting[n]
	if len(list) == 0 {
		if len(c.waiting) >= c.limits.MaxParked {
			return
		}
		c.host.Subscribe(n)
	}
	if len(list) < c.limits.MaxParked {
		c.waiting[n] = append(list, w)
	}
}

// waitForIP does the same for a destination known by address.
func (c *Core) waitForIP(a netip.Addr) { c.host.SubscribeIP(a) }

// wakeWaiting continues everything whose answer is in the table.
func (c *Core) wakeWaiting() {
	for n, list := range c.waiting {
		if _, known := c.table.Service(n); !known {
			continue
		}
		delete(c.waiting, n)
		for _, w := range list {
			if w != nil {
				w.wake()
			}
		}
	}
}

// leave takes a waiter out of its list.
func (c *Core) leaveWaiting(n model.Name, w waiter) {
	list := c.waiting[n]
	for i := range list {
		if list[i] == w {
			list[i] = nil
		}
	}
}
