package process

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"time"

	"github.com/weft-mesh/weft/identity"
	"github.com/weft-mesh/weft/proxy/core"
)

// security makes TLS settings from the identities in force. A link proves that of the workload
// which it belongs to, and no other.
type security struct {
	store func(workload int) *identity.Store
}

// Server implements drive.Security.
func (s security) Server(workload int) *tls.Config {
	return linkConfig(s.store(workload).ServerConfig())
}

// Client implements drive.Security.
func (s security) Client(workload int, peer string) *tls.Config {
	return linkConfig(s.store(workload).ClientConfig(peer))
}

// linkConfig adapts settings to a link: whole records, since the data path writes whole batches.
func linkConfig(c *tls.Config) *tls.Config {
	c.DynamicRecordSizingDisabled = true
	return c
}

// Peer implements drive.Security.
func (s security) Peer(cs *tls.ConnectionState) (string, bool) {
	id, ok := identity.PeerID(cs)
	return id.String(), ok
}

// Explain implements drive.Security. It looks at the roots, which are those of all workloads.
func (s security) Explain(err error, peer string) error { return s.store(0).Explain(err, peer) }

// followIdentity tells the data path when a workload's identity is there, how long it is good, and
// when the roots of trust change: then every peer has to prove itself again.
func (p *proxy) followIdentity(ctx context.Context, i int) error {
	store := p.agent.Identity(i)
	var roots *identity.Bundle
	for {
		changed := store.Changed()
		st := store.Load()
		p.driver.Post(func(c *core.Core) { setIdentity(c, i, st) })
		if st.Bundle != nil {
			if roots != nil && !roots.Equal(st.Bundle) {
				p.log.Info("the roots of trust changed: links are made anew", "workload", i)
				p.driver.Post(func(c *core.Core) { c.RetireLinks(i) })
			}
			roots = st.Bundle
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil
		}
	}
}

// setIdentity tells a loop who workload i is, if that is known.
func setIdentity(c *core.Core, i int, st *identity.State) {
	if st.Pair != nil {
		c.SetIdentity(i, st.Pair.ID.String(), time.Until(goodUntil(st)))
	}
}

// goodUntil is when a certificate ends, or the zero time if the roots in force do not vouch for it.
func goodUntil(st *identity.State) (end time.Time) {
	if st.Bundle == nil || st.Pair.TLS.Leaf == nil {
		return end
	}
	if _, err := identity.Verify([]*x509.Certificate{st.Pair.TLS.Leaf}, st.Bundle, time.Now()); err != nil {
		return end
	}
	return st.Pair.NotAfter()
}
