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
	portH1, portH2, portGRPC, portTCP   = 8081, 8082, 8083, 8084 // backends, in the server's namespace
	portBulkH1, portBulkH2, portBulkTCP = 8085, 8086, 8087       // the backend for large bodies
	portHAProxy, portHAProxyLink        = 7001, 7101             // client side; server side
	portEnvoy, portEnvoyLink            = 7002, 7102
)

// backendPorts are the ports of backends, in the order in which a mesh declares them.
var backendPorts = []struct {
	name  string
	port  int
	proto protocol
}{
	{"h1", portH1, protoH1}, {"h2", portH2, protoH2}, {"grpc", portGRPC, protoGRPC}, {"tcp", portTCP, protoTCP},
	{"bulk-h1", portBulkH1, protoH1}, {"bulk-h2", portBulkH2, protoH2}, {"bulk-tcp", portBulkTCP, protoTCP},
}

// port gives the port of the case's backend.
func (c benchCase) port() int {
	ports := map[protocol]int{protoH2: portH2, protoGRPC: portGRPC, protoTCP: portTCP}
	or := portH1
	if c.spec().bulk {
		ports, or = map[protocol]int{protoH2: portBulkH2, protoTCP: portBulkTCP}, portBulkH1
	}
	if p, ok := ports[c.proto]; ok {
		return p
	}
	return or
}
