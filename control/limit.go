package control

import (
	"sync"
	"time"
)

// maxLimited bounds how many keys a limiter remembers.
const maxLimited = 20000

// limiter lets each key do burst things at once and one more each interval after that. Safe for
// concurrent use.
type limiter struct {
	burst int
	every time.Duration
	now   func() time.Time

	mu   sync.Mutex           // guards full
	full map[string]time.Time // when the key's allowance is whole again; absent: it is
}

func newLimiter(burst int, every time.Duration, now func() time.Time) *limiter {
	return &limiter{burst: burst, every: every, now: now, full: map[string]time.Time{}}
}

// take uses one of a key's allowance, and is false if there is none left.
func (l *limiter) take(key string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	at, there := l.full[key]
	if !there && len(l.full) >= maxLimited {
		for k, t := range l.full {
			if !t.After(now) {
				delete(l.full, k)
			}
		}
		if len(l.full) >= maxLimited {
			return false
		}
	}
	if at.Before(now) {
		at = now
	}
	if at.Sub(now) > time.Duration(l.burst-1)*l.every {
		return false
	}
	l.full[key] = at.Add(l.every)
	return true
}
