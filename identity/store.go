package identity

import (
	"crypto/tls"
	"sync"
	"sync/atomic"
	"time"

	"github.com/weft-mesh/weft/codes"
)

// LinkALPN is the application protocol of links between proxies (HTTP/2 as weft speaks it).
const LinkALPN = "weft-link/1"

// Store holds the current certificate and trust roots of one workload. Both are swapped whole;
// the TLS settings made from a Store follow it, so that a renewal needs no new listener and no
// new settings. Safe for concurrent use. The zero value holds nothing and refuses all
// handshakes; Now must be set before use.
type Store struct {
	// Now gives the time that certificates are checked at; nil means time.Now.
	Now func() time.Time

	state atomic.Pointer[State]

	mu      sync.Mutex // guards changes to state and changed
	changed chan struct{}
}

// State is a pair and a bundle that were in force together. Either may be nil.
type State struct {
	Pair   *Pair
	Bundle *Bundle
	// Version counts changes. Links may be pooled only among equal versions of the bundle.
	Version uint64
}

// Load gives the current state; never nil.
func (s *Store) Load() *State {
	if st := s.state.Load(); st != nil {
		return st
	}
	return &State{}
}

// Set replaces certificate and roots together.
func (s *Store) Set(p *Pair, b *Bundle) { s.update(func(st *State) { st.Pair, st.Bundle = p, b }) }

// SetBundle replaces the roots alone.
func (s *Store) SetBundle(b *Bundle) { s.update(func(st *State) { st.Bundle = b }) }

func (s *Store) update(f func(*State)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	next := *s.Load()
	f(&next)
	next.Version++
	s.state.Store(&next)
	if s.changed != nil {
		close(s.changed)
		s.changed = nil
	}
}

// Changed gives a channel that is closed at the next change after this call.
func (s *Store) Changed() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.changed == nil {
		s.changed = make(chan struct{})
	}
	return s.changed
}

func (s *Store) now() time.Time {
	if s.Now != nil {
		return s.Now()
	}
	return time.Now()
}

func (s *Store) certificate() (*tls.Certificate, error) {
	p := s.Load().Pair
	if p == nil {
		return nil, codes.New("W2117", "this proxy has no certificate yet")
	}
	return &p.TLS, nil
}
