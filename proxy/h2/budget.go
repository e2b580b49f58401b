package h2

import "time"

// budget is a leaky bucket of cost. The zero value is empty.
type budget struct {
	spent int       // negative: paid ahead
	ahead int       // how much may be
	last  time.Time // when leak last took something
}

// leak takes what time has paid for.
func (b *budget) leak(now time.Time, perSecond int) {
	if b.last.IsZero() || b.spent <= 0 {
		b.last = now
		return
	}
	elapsed := now.Sub(b.last)
	if elapsed > time.Hour { // more than enough for any bucket, and no overflow below
		b.spent, b.last = 0, now
		return
	}
	if n := int(elapsed) * perSecond / int(time.Second); n > 0 {
		b.spent = max(b.spent-n, 0)
		b.last = now
	}
}

// charge adds cost and reports whether the bucket still holds it.
func (b *budget) charge(cost, size int) bool {
	b.spent += cost
	return b.spent <= size
}

// pay takes what useful traffic has paid for, or will have: the WINDOW_UPDATEs that answer DATA come
// later, perhaps when the streams that they are for are gone.
func (b *budget) pay(n int) { b.spent = max(b.spent-n, -b.ahead) }

// chargeControl charges the peer for a frame that carries nothing. It reports false, the
// connection having failed, if the budget is exhausted.
func (c *Conn) chargeControl(cost int, what string) bool {
	l := &c.cfg.Limits
	if c.control.charge(cost, c.earned(64, l.ControlBurst+l.ControlPerStream*c.streams.n)) {
		return true
	}
	return c.fail(EnhanceYourCalm, "too many frames without use, the last one "+what)
}

// Probation says whether the client comes from where budgets of other connections were used up
// lately. The buckets of resets and of frames without use begin small then, with 8 and 64, on a link
// with 64 and 512, and grow by 4 with every stream that is answered and not reset, up to what they
// are for others. What was answered before counts.
func (c *Conn) Probation(on bool) { c.probation = on }

// earned is the size of a bucket: whole, or, on probation, what answered requests have earned.
func (c *Conn) earned(base, whole int) int {
	if !c.probation {
		return whole
	}
	return min(pick(c.cfg.Link, 8*base, base)+4*c.good, whole)
}

// chargeReset charges the peer for a stream that ended early by its doing.
func (c *Conn) chargeReset(what string) bool {
	if c.resets.charge(1, c.earned(8, c.cfg.Limits.ResetBurst)) {
		return true
	}
	return c.fail(EnhanceYourCalm, "too many streams ended early, the last one "+what)
}

// roomForReply reports whether a reply that cannot wait may be appended. A peer that sends but
// never reads would otherwise make us store replies without end.
func (c *Conn) roomForReply() bool {
	if len(*c.out) <= c.cfg.MaxOutput+outputSlack {
		return true
	}
	return c.fail(EnhanceYourCalm, "the peer does not read the replies that it asks for")
}
