package join

import (
	"net/netip"
	"os"
	"strings"
)

// resolver is what a machine's resolv.conf says (resolv.conf(5)).
type resolver struct {
	servers []netip.AddrPort
	search  []string
	options []string
}

// The C library's limit of servers, and a limit of ours on what is read.
const (
	maxServers    = 3
	maxResolvConf = 64 << 10
)

// parseResolvConf reads a resolv.conf. What is not understood is left out, as the C library
// does.
func parseResolvConf(text string) resolver {
	var r resolver
	if len(text) > maxResolvConf {
		text = text[:maxResolvConf]
	}
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if len(fields) < 2 || fields[0][0] == '#' || fields[0][0] == ';' {
			continue
		}
		switch fields[0] {
		case "nameserver":
			if a, err := netip.ParseAddr(fields[1]); err == nil && len(r.servers) < maxServers {
				r.servers = append(r.servers, netip.AddrPortFrom(a, 53))
			}
		case "search", "domain": // the last one counts
			r.search = nil
			for _, s := range fields[1:] {
				if printable(s) {
					r.search = append(r.search, s)
				}
			}
		case "options":
			for _, o := range fields[1:] {
				if printable(o) {
					r.options = append(r.options, o)
				}
			}
		}
	}
	return r
}

// printable reports whether a word is fit to be written into a configuration.
func printable(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' {
			return false
		}
	}
	return s != ""
}

// systemdResolv is where systemd-resolved writes the real servers while /etc/resolv.conf names
// its own stub on the loopback.
const systemdResolv = "/run/systemd/resolve/resolv.conf"

// machineResolver reads the resolvers of this machine. real is what a DNS query over TCP, which
// is captured like every connection, should be sent to: a server that is not on the loopback of
// the machine, which means another place inside a network namespace. It is invalid if none is known.
func machineResolver() (r resolver, real netip.Addr) {
	text, _ := os.ReadFile("/etc/resolv.conf")
	r = parseResolvConf(string(text))
	if len(r.servers) == 0 { // the C library's default
		r.servers = []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:53")}
	}
	text, _ = os.ReadFile(systemdResolv)
	for _, s := range append(r.servers, parseResolvConf(string(text)).servers...) {
		if !s.Addr().IsLoopback() && !s.Addr().IsLinkLocalUnicast() {
			return r, s.Addr()
		}
	}
	return r, netip.Addr{}
}

// resolvConf writes the file for a captured application. Names without a dot are looked for in
// the mesh first, so that a wildcard in the machine's own domain cannot take them.
func resolvConf(r resolver, server netip.Addr, namespace string) string {
	var b strings.Builder
	b.WriteString("# Written by weft for this application alone; see weft run --transparent.\n")
	b.WriteString("nameserver " + server.String() + "\n")
	search := []string{namespace + ".svc.cluster.local", "svc.cluster.local"}
	b.WriteString("search " + strings.Join(append(search, r.search...), " ") + "\n")
	if len(r.options) > 0 {
		b.WriteString("options " + strings.Join(r.options, " ") + "\n")
	}
	return b.String()
}
