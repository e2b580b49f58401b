package override

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"time"
)

// Bounds of a Cache.
const (
	cached     = 256  // tokens
	newASecond = 50.0 // tokens that are verified; some 3 ms of a processor's second
	burst      = 20
)

// ErrBusy is the error of Cache.Open for a new token of somebody who brings too many of them.
var ErrBusy = errors.New("too many tokens that were not seen before")

// Cache remembers tokens that were verified, so that a test run costs one verification and not one
// for each request. Only valid ones are kept, the oldest leaves for the newest. The zero value is
// empty. Not safe for concurrent use.
type Cache struct {
	byText map[string]*entry
	order  [cached]string // a ring
	next   int
}

type entry struct {
	token *Token
	key   [ed25519.PublicKeySize]byte // that it was verified with
}

// Allowance bounds the verifications that one workload can cause: its tokens may be anything. The
// zero value is ready.
type Allowance struct {
	used float64
	at   time.Duration
}

// take reports whether one more may be verified.
func (a *Allowance) take(now time.Duration) bool {
	a.used = max(0, a.used-(now-a.at).Seconds()*newASecond)
	a.at = now
	if a.used+1 > burst {
		return false
	}
	a.used++
	return true
}

// Open is Open with memory. now is monotonic, for the allowance of whoever brought the token; unix
// is the time in seconds.
func (c *Cache) Open(b []byte, key ed25519.PublicKey, trustDomain string, unix int64, a *Allowance, now time.Duration) (*Token, error) {
	e := c.byText[string(b)] // does not allocate
	if e != nil && bytes.Equal(e.key[:], key) {
		if err := e.token.Check(trustDomain, unix); err != nil {
			return nil, err
		}
		return e.token, nil
	}
	if !a.take(now) {
		return nil, ErrBusy
	}
	t, err := Open(b, key, trustDomain, unix)
	if err != nil {
		return nil, err
	}
	if e == nil {
		e = c.room(string(b))
	}
	e.token = t
	copy(e.key[:], key)
	return t, nil
}

// room makes a place for a token.
func (c *Cache) room(s string) *entry {
	if c.byText == nil {
		c.byText = make(map[string]*entry)
	}
	delete(c.byText, c.order[c.next])
	c.order[c.next] = s
	c.next = (c.next + 1) % cached
	e := new(entry)
	c.byText[s] = e
	return e
}
