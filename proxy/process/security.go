package process

import (
	"crypto/tls"

	"github.com/weft-mesh/weft/identity"
)

// Server implements drive.Security.
func (s security) Server() *tls.Config { return linkConfig(s.store.ServerConfig()) }

// Client implements drive.Security.
func (s security) Client(peer string) *tls.Config { return linkConfig(s.store.ClientConfig(peer)) }

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

// Explain implements drive.Security.
func (s security) Explain(err error, peer string) error { return s.store.Explain(err, peer) }
