package core

import (
	"errors"
	"net/netip"
	"time"

	"github.com/weft-mesh/weft/proxy/h2"
)

// suspects remembers from which addresses HTTP/2 connections were abused lately. A connection has
// an allowance for what costs its client nothing, so that honest ones may cancel all they have; who
// makes a new connection each time it is used up multiplies it (measured: half a core of a client
// that opens and resets took four cores of proxies and application). Connections from such an
// address are on probation: what they may do for nothing grows with the requests that they let be
// answered. Everything else they may do as ever, so an honest client beside an attacker is served.
//
// From an address that goes on, new HTTP/2 connections begin one after the other, holdEvery apart, and
// those that would wait longer than maxHold are turned away (W3017). Connections that are there,
// HTTP/1 ones, and all of other addresses do not wait.
//
// The zero value knows nobody.
type suspects struct{ since map[netip.Addr]offences }

// offences of an address: a leaky bucket.
type offences struct {
	level float64
	at    time.Duration
	next  time.Duration // when the next connection may begin
}

const (
	maxSuspects    = 1024 // addresses
	suspectFrom    = 0.5  // offences: one is suspicious for a second
	forgetOffences = 0.5  // a second
	maxOffences    = 10   // so that it is over within 20 s

	holdFrom  = 3 // offences: two are suspicious, the third in a row is an attack
	holdEvery = 10 * time.Millisecond
	maxHold   = 500 * time.Millisecond // whoever leaves meanwhile is noticed then
)

// now gives the level at a time.
func (o offences) now(now time.Duration) float64 {
	return max(0, o.level-forgetOffences*(now-o.at).Seconds())
}

// offend notes that a connection from addr was ended for abuse.
func (s *suspects) offend(addr netip.Addr, now time.Duration) {
	o, known := s.since[addr]
	if !known && len(s.since) >= maxSuspects {
		for a, o := range s.since {
			if o.now(now) == 0 {
				delete(s.since, a)
			}
		}
		if len(s.since) >= maxSuspects {
			return
		}
	}
	if s.since == nil {
		s.since = map[netip.Addr]offences{}
	}
	s.since[addr] = offences{level: min(o.now(now)+1, maxOffences), at: now, next: o.next}
}

// turn tells how long a new HTTP/2 connection from addr has to wait before it begins; ok is false if
// that is too long.
func (s *suspects) turn(addr netip.Addr, now time.Duration) (wait time.Duration, ok bool) {
	o, known := s.since[addr]
	if !known || o.now(now) < holdFrom {
		return 0, true
	}
	o.next = max(o.next, now)
	if wait = o.next - now; wait > maxHold {
		return 0, false
	}
	o.next += holdEvery
	s.since[addr] = o
	return wait, true
}

// suspect reports whether connections from addr are on probation.
func (s *suspects) suspect(addr netip.Addr, now time.Duration) bool {
	o, known := s.since[addr]
	return known && o.now(now) >= suspectFrom
}

// abused reports whether an error of a connection is one of these.
func abused(err error) bool {
	var ce *h2.ConnError
	return errors.As(err, &ce) && ce.Code == h2.EnhanceYourCalm
}
