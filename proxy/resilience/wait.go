package resilience

import (
	"math/bits"
	"strconv"
	"time"

	"github.com/weft-mesh/weft/message"
	"github.com/weft-mesh/weft/model"
)

// Backoff is the wait before the try that follows so many: a random part of a bound that doubles each
// time (full jitter: Brooker, "Exponential Backoff And Jitter", 2015). r is 64 random bits.
func Backoff(p *model.Retry, tries int, r uint64) time.Duration {
	bound := p.Backoff
	for n := 1; n < tries && bound < p.BackoffMax; n++ {
		bound *= 2
	}
	bound = min(bound, p.BackoffMax)
	if bound <= 0 {
		return 0
	}
	wait, _ := bits.Mul64(r, uint64(bound))
	return time.Duration(wait)
}

// Asked is how long an answer asks its caller to wait before another try: Retry-After (RFC 9110
// section 10.2.3), and grpc-retry-pushback-ms (gRFC A6), of which a negative or malformed one means
// that there is to be none.
func Asked(f []message.Field) (wait time.Duration, never bool) {
	if v := message.Get(f, "grpc-retry-pushback-ms"); v != nil {
		ms, err := strconv.ParseInt(string(v), 10, 32)
		if err != nil || ms < 0 {
			return 0, true
		}
		return time.Duration(ms) * time.Millisecond, false
	}
	if v := message.Get(f, "retry-after"); v != nil {
		return retryAfter(v, message.Get(f, "date")), false
	}
	return 0, false
}

// longest is what anything longer is taken for.
const longest = 24 * time.Hour

// retryAfter reads seconds, or a time. A time is compared with that of the answer, by the same clock:
// ours may be another. What is neither asks for nothing.
func retryAfter(v, date []byte) time.Duration {
	if n, err := strconv.ParseUint(string(v), 10, 32); err == nil {
		return min(time.Duration(n)*time.Second, longest)
	}
	at, err := time.Parse(imf, string(v))
	if err != nil {
		return 0
	}
	now, err := time.Parse(imf, string(date))
	if err != nil {
		return 0
	}
	return min(max(at.Sub(now), 0), longest)
}

// imf is the form of times in HTTP (RFC 9110 section 5.6.7).
const imf = "Mon, 02 Jan 2006 15:04:05 GMT"
