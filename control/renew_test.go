package control_test

import (
	"crypto/ecdsa"
	"sync/atomic"
	"testing"
	"time"
)

func TestACertificateIsRenewedAtHalfOfItsLifeWithANewKey(t *testing.T) {
	m := newMesh(t)
	var shift atomic.Int64
	now := func() time.Time { return time.Now().Add(time.Duration(shift.Load())) }
	m.opt.Now = now
	m.up()
	opt := workload("cart", 8081)
	opt.Now = now
	cart := m.join(opt).ready()
	store := cart.Identity(0)
	first := store.Load()
	touch := func() <-chan struct{} { // makes the keeper look at the clock now rather than within half a minute
		store.SetBundle(first.Bundle)
		return store.Changed()
	}
	shift.Store(int64(9 * time.Hour))
	touch()
	shift.Store(int64(15 * time.Hour)) // past the latest moment that the jitter allows
	limit := time.After(patience)
	for store.Load().Pair == first.Pair {
		select {
		case <-touch():
		case <-limit:
			t.Fatal("the certificate was not renewed")
		case <-time.After(10 * time.Millisecond):
		}
	}
	second := store.Load().Pair
	if got := second.NotAfter().Sub(first.Pair.NotAfter()); got < 14*time.Hour || second.ID != first.Pair.ID {
		t.Errorf("renewed for %s more, as %s", got, second.ID)
	}
	old, ok := first.Pair.TLS.Leaf.PublicKey.(*ecdsa.PublicKey)
	if !ok || old.Equal(second.TLS.Leaf.PublicKey) {
		t.Error("the key was kept")
	}
}

// A control plane that lost its state has a new root; proxies must come over to it by themselves.
func TestProxiesGetNewCertificatesFromANewRoot(t *testing.T) {
	m := newMesh(t)
	_, down := m.up()
	cart := m.join(workload("cart", 8081)).ready()
	before := cart.Identity(0).Load()
	down()
	other := newMesh(t)
	other.socket, other.opt.Socket = m.socket, m.socket
	started, _ := other.up()
	if !started.RootCreated {
		t.Fatal("no new root")
	}
	limit := time.After(patience)
	for {
		st, changed := cart.Identity(0).Load(), cart.Identity(0).Changed()
		if st.Pair != before.Pair && !st.Bundle.Equal(before.Bundle) {
			return
		}
		select {
		case <-changed:
		case <-limit:
			t.Fatal("the proxy still has the old root's certificate")
		}
	}
}
