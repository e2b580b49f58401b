package node

import (
	"log/slog"
	"net/netip"
	"os"
)

// Options say what a Namespace is made with. The zero value works.
type Options struct {
	// ResolvConf, if set, is the path of a file that processes inside find at /etc/resolv.conf.
	// It must be readable by them and stay until Close. It stays the caller's.
	ResolvConf string
	// Log tells what could not be had and is not needed. Nil: nothing is told.
	Log *slog.Logger
}

// Sockets are the sockets opened inside a Namespace for a proxy outside: TCP connections and
// DNS queries of the processes inside arrive there. The files belong to the Namespace, which
// closes them; a child process that inherits them keeps its own copies.
type Sockets struct {
	TCP []*os.File // listening; IPv4 first, then IPv6 if the machine has it
	DNS []*os.File // UDP; the same order
}

// Ends are the two addresses of one family on the veth pair.
type Ends struct {
	Host   netip.Addr // in the namespace of the caller
	Inside netip.Addr // where the caller reaches processes inside
}
