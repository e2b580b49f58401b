package resilience

import (
	"strconv"
	"time"
)

// MaxTimeout is the longest time that is kept count of; longer ones are taken for it.
const MaxTimeout = 1000 * time.Hour

// ParseTimeout reads how long a caller waits, in gRPC's form: one to eight digits and a unit of H, M,
// S, m (ms), u (µs) or n (ns), "250m". ok is false for anything else.
func ParseTimeout(v []byte) (d time.Duration, ok bool) {
	last := len(v) - 1
	if last < 1 || last > 8 {
		return 0, false
	}
	var unit time.Duration
	switch v[last] {
	case 'H':
		unit = time.Hour
	case 'M':
		unit = time.Minute
	case 'S':
		unit = time.Second
	case 'm':
		unit = time.Millisecond
	case 'u':
		unit = time.Microsecond
	case 'n':
		unit = time.Nanosecond
	default:
		return 0, false
	}
	n := time.Duration(0)
	for _, c := range v[:last] {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + time.Duration(c-'0')
	}
	if n > MaxTimeout/unit {
		return MaxTimeout, true
	}
	return n * unit, true
}

// AppendTimeout appends d in the form that ParseTimeout reads, rounded down to the finest unit in
// which it has eight digits at most, microseconds at the finest. What is less is one microsecond:
// 0 would say that there is no time at all.
func AppendTimeout(b []byte, d time.Duration) []byte {
	const digits = 100_000_000
	switch d = min(d, MaxTimeout); {
	case d < time.Microsecond:
		return append(b, "1u"...)
	case d/time.Microsecond < digits:
		return append(strconv.AppendInt(b, int64(d/time.Microsecond), 10), 'u')
	case d/time.Millisecond < digits:
		return append(strconv.AppendInt(b, int64(d/time.Millisecond), 10), 'm')
	}
	return append(strconv.AppendInt(b, int64(d/time.Second), 10), 'S')
}
