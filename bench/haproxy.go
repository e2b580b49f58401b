package main

import (
	"fmt"
	"strings"

	"github.com/weft-mesh/weft/bench/rig"
)

// haproxyGlobal is common to both sides: one thread, as weft runs one loop; no logs; TLS 1.3 with
// AES-128-GCM only; connections to servers are kept and shared as much as HAProxy can.
const haproxyGlobal = `global
  nbthread 1
  no strict-limits
  maxconn %d
  ssl-default-bind-options ssl-min-ver TLSv1.3 no-tls-tickets
  ssl-default-bind-ciphersuites TLS_AES_128_GCM_SHA256
  ssl-default-bind-curves P-256
  ssl-default-server-options ssl-min-ver TLSv1.3 no-tls-tickets
  ssl-default-server-ciphersuites TLS_AES_128_GCM_SHA256
defaults
  timeout connect 5s
  timeout client 1m
  timeout server 1m
  timeout http-keep-alive 1m
`

// haproxyConns is how many connections HAProxy takes. It makes its tables for so many at its start,
// and wants two files for each; without strict limits it starts also where it can have fewer, which
// suffice, for its connections to the next hop are shared.
func haproxyConns(c benchCase) int {
	if c.kind == kindIdle || c.kind == kindActive {
		return c.conns + activeConns + 500
	}
	return 1000
}

// haproxyClient is the configuration of the client's side: of the only proxy, if there is one hop.
func haproxyClient(c benchCase, p *rig.PKI) string {
	var b strings.Builder
	fmt.Fprintf(&b, haproxyGlobal, haproxyConns(c))
	haproxyMode(&b, c)
	fmt.Fprintf(&b, "frontend in\n  bind 127.0.0.1:%d%s\n  default_backend out\n", portHAProxy, haproxyProto(c))
	b.WriteString("backend out\n")
	if c.hops.single() {
		fmt.Fprintf(&b, "  server app %s:%d%s\n", serverAddr, c.port(), haproxyProto(c))
		return b.String()
	}
	alpn := " alpn h2"
	if c.proto == protoTCP {
		alpn = ""
	}
	fmt.Fprintf(&b, "  server peer %s:%d ssl crt %s ca-file %s verify required%s\n", serverAddr, portHAProxyLink, p.ClientPair, p.CA, alpn)
	return b.String()
}

// haproxyServer is the configuration of the server's side.
func haproxyServer(c benchCase, p *rig.PKI) string {
	var b strings.Builder
	fmt.Fprintf(&b, haproxyGlobal, haproxyConns(c))
	haproxyMode(&b, c)
	alpn := " alpn h2"
	if c.proto == protoTCP {
		alpn = ""
	}
	fmt.Fprintf(&b, "frontend in\n  bind %s:%d ssl crt %s ca-file %s verify required%s\n  default_backend out\n", serverAddr, portHAProxyLink, p.ServerPair, p.CA, alpn)
	fmt.Fprintf(&b, "backend out\n  server app 127.0.0.1:%d%s\n", c.port(), haproxyProto(c))
	return b.String()
}

func haproxyMode(b *strings.Builder, c benchCase) {
	if c.proto == protoTCP {
		b.WriteString("  mode tcp\n  option splice-auto\n")
		return
	}
	b.WriteString("  mode http\n  http-reuse always\n")
}

// haproxyProto says what a plain connection speaks.
func haproxyProto(c benchCase) string {
	if c.proto == protoH2 || c.proto == protoGRPC {
		return " proto h2"
	}
	return ""
}
