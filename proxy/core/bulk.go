package core

import "time"

// A large transfer fills its link: what is small would wait behind a window of it, a millisecond or
// more each time. So requests prefer links that carry no bulk, and the pool dials one more if all do.
const (
	bulkBytes = 1 << 20                // what an exchange moves
	bulkTime  = 250 * time.Millisecond // within this time, to count as bulk
)

// weigh looks, each bulkBytes, whether the exchange is a large transfer at present.
func (x *exchange) weigh() {
	c := x.core
	fast := c.now-x.weighedAt < bulkTime
	x.weighedAt, x.weighAgain = c.now, x.sent+x.got+bulkBytes
	if !fast {
		x.unburden()
		return
	}
	if cl, ok := x.up.(*h2Client); ok && x.burdens == nil && cl.p.link() {
		cl.bulk++
		x.burdens = cl
	}
}

// unburden takes the exchange off the link that it counts as bulk on.
func (x *exchange) unburden() {
	if cl := x.burdens; cl != nil {
		cl.bulk--
		x.burdens = nil
	}
}

// choose gives the connection for the next stream: the first that takes one and carries no bulk,
// or else the one with the least, while another is dialed. It is nil if none takes a stream.
func (p *pool) choose() *h2Client {
	var best *h2Client
	for _, cl := range p.shared {
		if cl.usable() && (best == nil || cl.bulk < best.bulk) {
			if best = cl; best.bulk == 0 {
				return best
			}
		}
	}
	if best != nil && p.core.now >= p.relieveAt {
		p.relieveAt = p.core.now + p.core.limits.ConnectTimeout // a peer that takes no more is not asked for each request
		p.dialMore()
	}
	return best
}
