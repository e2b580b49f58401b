package main

import (
	"fmt"
	"strings"

	"github.com/weft-mesh/weft/bench/rig"
)

// haproxyGlobal is common to both sides: one thread, as weft runs one loop; no logs.
const haproxyGlobal = `global
  nbthread 1
  no strict-limits
  maxconn 20000
  ssl-default-bind-options ssl-min-ver TLSv1.3 no-tls-tickets
  ssl-default-server-options ssl-min-ver TLSv1.3 no-tls-tickets
defaults
  mode http
  timeout connect 250ms
  timeout client 1m
  timeout http-keep-alive 1m
`

// haproxyClient chooses the server with the fewest connections, tries again on another one, and
// takes out those that fail requests or the checks that bring them back.
func haproxyClient(s scenario, p *rig.PKI) string {
	var b strings.Builder
	b.WriteString(haproxyGlobal)
	fmt.Fprintf(&b, "frontend in\n  bind 127.0.0.1:%d\n  default_backend out\nbackend out\n  balance leastconn\n  http-reuse always\n", clientPort)
	check := ""
	if s.plain {
		b.WriteString("  timeout server 1m\n  retries 0\n")
	} else {
		fmt.Fprintf(&b, "  timeout server %dms\n  retries %d\n  option redispatch 1\n", tryTimeout.Milliseconds(), retries)
		b.WriteString("  retry-on conn-failure empty-response junk-response response-timeout 500 502 503 504\n")
		fmt.Fprintf(&b, "  option httpchk GET %s\n", healthPath)
		check = " check check-alpn http/1.1 inter 1s fall 2 rise 2 observe layer7 error-limit 5 on-error mark-down"
	}
	for i := range s.servers {
		fmt.Fprintf(&b, "  server s%d %s:%d ssl crt %s ca-file %s verify required alpn h2%s\n", i, edgeAddr(i), edgePort, p.ClientPair, p.CA, check)
	}
	return b.String()
}

// haproxyServer gives each server's address to its application.
func haproxyServer(s scenario, p *rig.PKI) string {
	var b strings.Builder
	b.WriteString(haproxyGlobal)
	for i := range s.servers {
		fmt.Fprintf(&b, "frontend in%d\n  bind %s:%d ssl crt %s ca-file %s verify required alpn h2,http/1.1\n  default_backend out%d\n", i, edgeAddr(i), edgePort, p.ServerPair, p.CA, i)
		fmt.Fprintf(&b, "backend out%d\n  timeout server 1m\n  retries 0\n  http-reuse always\n  server app %s\n", i, appAddr(i))
	}
	return b.String()
}
