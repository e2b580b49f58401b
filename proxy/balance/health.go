package balance

import "time"

// active is what health checks told of an endpoint. The zero value is healthy.
type active struct {
	unhealthy bool
	since     time.Duration
	row       int // results in a row that say the opposite
}

// Checked takes the result of a health check. The thresholds are those of the set's policy; without
// a health check in it the endpoint is healthy. It reports whether the endpoint's state changed.
func (e *Endpoint) Checked(now time.Duration, well bool) (changed bool) {
	if e.set == nil || e.set.policy().Health == nil {
		return false
	}
	h, a := e.set.policy().Health, &e.active
	if well != a.unhealthy { // it says what was known
		a.row = 0
		return false
	}
	limit := h.Unhealthy
	if a.unhealthy {
		limit = h.Healthy
	}
	if a.row++; a.row < limit {
		return false
	}
	a.row, a.since = 0, now
	a.unhealthy = !well
	e.set.stale = true
	return true
}

// Unchecked forgets what health checks told: there are none any more.
func (e *Endpoint) Unchecked(now time.Duration) {
	if e.active.unhealthy && e.set != nil {
		e.set.stale = true
	}
	e.active = active{since: now}
}

// Healthy reports what health checks told last.
func (e *Endpoint) Healthy() bool { return !e.active.unhealthy }
