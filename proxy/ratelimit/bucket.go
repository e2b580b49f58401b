package ratelimit

import (
	"math"
	"time"
)

// rate is a token bucket's speed and size, in time: a token every so long, and how far the bucket may
// be ahead.
type rate struct {
	every time.Duration
	ahead time.Duration // (burst - 1) tokens
}

// rateOf converts. Rates are from one in a day to a thousand million a second.
func rateOf(perSecond float64, burst int) rate {
	every := 24 * time.Hour
	if perSecond > 0 {
		every = time.Duration(min(math.Ceil(float64(time.Second)/perSecond), float64(every)))
	}
	every = max(every, 1)
	ahead := float64(every) * float64(max(burst, 1)-1)
	return rate{every, time.Duration(min(ahead, float64(30*24*time.Hour)))}
}

// take takes a token from a bucket: full is when it will be full again. It gives when that is then, and
// how long to wait for a token if there is none (0: it was taken).
func (r rate) take(now, full time.Duration) (then, wait time.Duration) {
	full = max(full, now)
	if d := full - now - r.ahead; d > 0 {
		return full, d
	}
	return full + r.every, 0
}
