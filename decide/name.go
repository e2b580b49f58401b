package decide

import (
	"bytes"

	"github.com/weft-mesh/weft/model"
)

// LookupState is what a Table knows of a host.
type LookupState uint8

// The states.
const (
	Found   LookupState = iota // the service is in the table
	Absent                     // a mesh name, and the control plane says that there is no such service
	Unknown                    // a mesh name of which nothing is known yet: subscribe and wait
	NotMesh                    // not a mesh name
)

// String gives the state in lower case.
func (s LookupState) String() string {
	return [...]string{"found", "absent", "unknown", "not a mesh name"}[s]
}

// Lookup finds the service that a canonical host names for a client in namespace ns (see
// ServiceName for the forms). name is filled in only for Absent and Unknown. A hit allocates
// nothing.
func (t *Table) Lookup(host []byte, ns string) (s *Service, name model.Name, state LookupState) {
	svc, svcNS, ok := splitHost(host)
	if !ok || svcNS == nil && ns == "" {
		return nil, model.Name{}, NotMesh
	}
	var known bool
	// Conversions inside a map index do not allocate.
	if svcNS == nil {
		s, known = t.services[model.Name{Namespace: ns, Name: string(svc)}]
	} else {
		s, known = t.services[model.Name{Namespace: string(svcNS), Name: string(svc)}]
	}
	if s != nil {
		return s, model.Name{}, Found
	}
	name = model.Name{Namespace: ns, Name: string(svc)}
	if svcNS != nil {
		name.Namespace = string(svcNS)
	}
	if known {
		return nil, name, Absent
	}
	return nil, name, Unknown
}

// ServiceName resolves a canonical host to the service that it names for a client in namespace
// ns:
//
//	cart, cart.weft.localhost            ns/cart
//	cart.shop, cart.shop.weft.localhost  shop/cart
//	cart.shop.svc[.cluster.local]        shop/cart
//
// ok is false if host is not a mesh name: an address, localhost, any other dotted name.
func ServiceName(host []byte, ns string) (svc, svcNS string, ok bool) {
	s, n, ok := splitHost(host)
	if !ok || n == nil && ns == "" {
		return "", "", false
	}
	if n == nil {
		return string(s), ns, true
	}
	return string(s), string(n), true
}

// splitHost cuts a mesh name into service and namespace; namespace is nil for "the client's".
func splitHost(host []byte) (svc, ns []byte, ok bool) {
	local := false
	if h, cut := bytes.CutSuffix(host, weftLocalhost); cut {
		host, local = h, true
	} else if h, cut := bytes.CutSuffix(host, svcClusterLocal); cut {
		if bytes.Count(h, dot) != 1 {
			return nil, nil, false
		}
		host = h
	} else if h, cut := bytes.CutSuffix(host, dotSvc); cut && bytes.Count(h, dot) == 1 {
		host = h
	}
	svc, ns, dotted := bytes.Cut(host, dot)
	if !isLabel(svc) || dotted && !isLabel(ns) {
		return nil, nil, false
	}
	if !dotted {
		ns = nil
	}
	last := svc
	if dotted {
		last = ns
	}
	if !local && (string(last) == "localhost" || isNumber(last)) {
		return nil, nil, false
	}
	return svc, ns, true
}

var (
	dot             = []byte(".")
	dotSvc          = []byte(".svc")
	svcClusterLocal = []byte(".svc.cluster.local")
	weftLocalhost   = []byte(".weft.localhost")
)

// isLabel reports whether b can be the name of a Kubernetes object used in DNS (RFC 1123
// section 2.1, lower case).
func isLabel(b []byte) bool {
	if len(b) == 0 || len(b) > 63 || b[0] == '-' || b[len(b)-1] == '-' {
		return false
	}
	for _, c := range b {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
			return false
		}
	}
	return true
}

// isNumber reports whether resolvers would take a name with this last label for an IPv4 address
// (URL Standard, "ends in a number").
func isNumber(b []byte) bool {
	if len(b) == 0 {
		return false
	}
	if len(b) >= 2 && b[0] == '0' && b[1]|0x20 == 'x' {
		for _, c := range b[2:] {
			if unhex(c) > 15 {
				return false
			}
		}
		return true
	}
	for _, c := range b {
		if c < '0' || c > '9' {
			return false
		}
	}
	return true
}
