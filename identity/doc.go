// Package identity is who is who in the mesh: SPIFFE IDs, the checks that a peer's certificate
// must pass, and the TLS settings of links and of the control plane's connections.
//
// The control plane and the proxies both use it, so that issuing and verifying hold to the same
// rules: exactly one URI name of the form spiffe://TRUST_DOMAIN/ns/NAMESPACE/sa/ACCOUNT, TLS 1.3
// only, no session tickets (a resumed session would outlive a removed root), every check on every
// handshake. It keeps keys in memory only and never logs one.
package identity
