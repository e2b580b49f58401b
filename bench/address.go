package main

import "net/netip"

// Addresses inside the two namespaces (RFC 5737, TEST-NET-1); nobody outside sees them.
var (
	clientAddr = netip.MustParseAddr("192.0.2.1")
	serverAddr = netip.MustParseAddr("192.0.2.2")
)

// Ports inside the namespaces. They are fixed because nothing else lives there. Each peer has its
// own, on both sides: all peers of a case are up at once, HAProxy and Envoy listen with
// SO_REUSEPORT, and on a shared port the kernel would hand the one's connections to the other.
const (
	portH1, portH2, portGRPC, portTCP = 8081, 8082, 8083, 8084 // backends, in the server's namespace
	portHAProxy, portHAProxyLink      = 7001, 7101             // client side; server side
	portEnvoy, portEnvoyLink          = 7002, 7102
)

// port gives the backend's port for a protocol.
func (p protocol) port() int {
	return map[protocol]int{protoH1: portH1, protoH2: portH2, protoGRPC: portGRPC, protoTCP: portTCP}[p]
}
