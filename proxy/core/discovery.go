package core

import (
	"cmp"
	"slices"

	"github.com/weft-mesh/weft/model"
)

// waiter waits for the control plane's answer about a service.
type waiter interface{ wake() }

// waitFor asks for a service that is not known yet and lists w for the answer. It reports false if
// too many wait already.
func (c *Core) waitFor(n model.Name, w waiter) bool {
	list := c.waiting[n]
	if len(list) >= c.limits.MaxParked || len(list) == 0 && len(c.waiting) >= c.limits.MaxParked {
		return false
	}
	c.waiting[n] = append(list, w)
	if len(list) == 0 {
		c.host.Subscribe(n)
	}
	return true
}

// wakeWaiting continues everything whose answer is in the table.
func (c *Core) wakeWaiting() {
	var answered []model.Name
	for n := range c.waiting {
		if _, known := c.table.Service(n); known {
			answered = append(answered, n)
		}
	}
	slices.SortFunc(answered, compareNames) // or a seed would not repeat its history
	for _, n := range answered {
		list := c.waiting[n]
		delete(c.waiting, n)
		for _, w := range list {
			w.wake()
		}
	}
}

// leaveWaiting takes a waiter out of its list: it ran out of patience.
func (c *Core) leaveWaiting(n model.Name, w waiter) {
	list := c.waiting[n]
	i := slices.Index(list, w)
	if i < 0 {
		return
	}
	if list = slices.Delete(list, i, i+1); len(list) == 0 {
		delete(c.waiting, n)
	} else {
		c.waiting[n] = list
	}
}

func compareNames(a, b model.Name) int {
	return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
}
