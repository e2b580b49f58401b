package dns

import "strings"

// Suffixes under which every name is of the mesh, so that a missing one is answered here and
// never passed on.
const (
	clusterZone   = "svc.cluster.local." // NAME.NAMESPACE.svc.cluster.local, as in Kubernetes
	localhostZone = "weft.localhost."    // NAME.weft.localhost and NAME.NAMESPACE.weft.localhost
)

// target is what a queried name may mean.
type target struct {
	zone            string // the zone of ours that the name lies in; empty if it lies in none
	namespace, name string // the service it would be; empty name: it cannot be one
	apex            bool   // the name is the zone itself, or a namespace in it: it exists without addresses
}

// parse reads a queried name. Unqualified forms (cart, cart.shop, cart.shop.svc) are resolved
// from the namespace of the workload that asks. Comparison ignores case (RFC 4343).
func parse(qname, own string) target {
	q := strings.ToLower(qname)
	if !strings.HasSuffix(q, ".") {
		return target{}
	}
	for _, zone := range [...]string{clusterZone, localhostZone} {
		if q == zone {
			return target{zone: zone, apex: true}
		}
		rest, inside := strings.CutSuffix(q, "."+zone)
		if !inside {
			continue
		}
		labels := strings.Split(rest, ".")
		t := target{zone: zone}
		switch {
		case len(labels) == 2:
			t.name, t.namespace = labels[0], labels[1]
		case len(labels) == 1 && zone == localhostZone:
			t.name, t.namespace = labels[0], own
		case len(labels) == 1:
			t.apex = isLabel(labels[0]) // a namespace
			return t
		}
		if !isLabel(t.name) || !isLabel(t.namespace) {
			t.name, t.namespace = "", ""
		}
		return t
	}
	labels := strings.Split(strings.TrimSuffix(q, "."), ".")
	if len(labels) == 3 && labels[2] == "svc" {
		labels = labels[:2]
	}
	var t target
	switch len(labels) {
	case 1:
		t = target{name: labels[0], namespace: own}
	case 2:
		t = target{name: labels[0], namespace: labels[1]}
	}
	if !isLabel(t.name) || !isLabel(t.namespace) {
		return target{}
	}
	return t
}

// isLabel reports whether s can be the name of a service or namespace (RFC 1123 label, lower
// case already).
func isLabel(s string) bool {
	if s == "" || len(s) > 63 || s[0] == '-' || s[len(s)-1] == '-' {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
			return false
		}
	}
	return true
}
