package main

import "net/netip"

// Addresses inside the two namespaces (RFC 5737, TEST-NET-1); nobody outside sees them. Server i is
// an application at appAddr(i), in the servers' namespace, and stands at edgeAddr(i) to whoever is
// outside of it: there the proxy of the servers' side takes requests for it.
var (
	clientAddr = netip.MustParseAddr("192.0.2.1")
	serverAddr = netip.MustParseAddr("192.0.2.2")
)

const (
	mostServers = 11
	appPort     = 9000
	edgePort    = 7101 // HAProxy and Envoy; weft chooses its own
	clientPort  = 7001 // the same, at the client
)

func appAddr(i int) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 1, byte(i + 1)}), appPort)
}

func edgeAddr(i int) netip.Addr { return netip.AddrFrom4([4]byte{192, 0, 2, byte(11 + i)}) }
