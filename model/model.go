// Package model holds the mesh as plain immutable values: services, endpoints, routes,
// workloads. It is what sources are compiled into, what a snapshot consists of, and what a
// proxy's view carries. It is pure, imports nothing of ours, and knows neither YAML nor the
// wire. Values are never edited after they were published: whoever changes one makes a new one.
package model

import (
	"net/netip"
	"time"
)

// Name identifies a namespaced object.
type Name struct{ Namespace, Name string }

// String gives "namespace/name".
func (n Name) String() string { return n.Namespace + "/" + n.Name }

// Protocol is how the bytes of a port are spoken.
type Protocol uint8

// The protocols. ProtocolDetect means that nobody declared one and the first bytes decide.
const (
	ProtocolDetect Protocol = iota
	ProtocolHTTP            // HTTP/1.x, or HTTP/2 by its preface
	ProtocolHTTP2           // HTTP/2 with prior knowledge (kubernetes.io/h2c)
	ProtocolGRPC            // gRPC, so HTTP/2
	ProtocolTCP             // opaque bytes
	ProtocolTLS             // TLS made by the application, passed through by SNI
)

// String gives the name used in YAML, metrics and messages.
func (p Protocol) String() string {
	switch p {
	case ProtocolHTTP:
		return "http"
	case ProtocolHTTP2:
		return "http2"
	case ProtocolGRPC:
		return "grpc"
	case ProtocolTCP:
		return "tcp"
	case ProtocolTLS:
		return "tls"
	}
	return "detect"
}

// Service is a name and ports that stand for workloads, with the routes attached to it
// (GAMMA: the Service is the route's parent).
type Service struct {
	Name
	IPs   []netip.Addr // virtual addresses (clusterIPs), if any
	Ports []Port
	// Routes are all accepted routes attached to any port of the service, producer routes (same
	// namespace) and consumer routes (other namespaces), in no particular order; decide.Compile
	// applies Gateway API precedence.
	Routes []Route
}

// Port is one port of a service.
type Port struct {
	Name     string
	Port     uint16
	Protocol Protocol
	// Policy of a service's port. Of a workload's port: that of the service that selects it, for its
	// Guard. nil: the defaults.
	Policy *Policy
}

// Endpoints is who answers for a service, port by port.
type Endpoints struct {
	Service   Name
	Endpoints []Endpoint
}

// Endpoint is one workload that answers on one service port.
type Endpoint struct {
	Port     uint16         // the service port that this endpoint serves
	Addr     netip.AddrPort // where the application listens
	Link     netip.AddrPort // where the workload's proxy takes links; invalid if the workload is not in the mesh
	Identity string         // SPIFFE ID that the peer must present; empty if not in the mesh
	Workload Name           // the instance; for display and metrics
	Weight   uint32         // relative; 0 means 1
	Zone     string
	Node     string
	Draining bool // no new requests unless nothing else is left
}

// Meshed reports whether the endpoint is reached over a link.
func (e *Endpoint) Meshed() bool { return e.Link.IsValid() }

// Workload is one running instance with one identity.
type Workload struct {
	Name
	Identity string // spiffe://TRUST_DOMAIN/ns/NS/sa/NAME
	Addrs    []netip.Addr
	Ports    []Port // application ports and what they speak
	Labels   map[string]string
	Link     netip.AddrPort
	Zone     string
	Node     string
	Peers    Peers
}

// Peers is the place of a workload among all live workloads of the same identity, sorted by name:
// its coordinate on the ring of clients of a deterministic aperture. Index is below Count; the zero
// value means that it is not known.
type Peers struct{ Index, Count int }

// RouteKind tells which Gateway API kind a route was.
type RouteKind uint8

// The kinds of route, in the order of precedence when several are attached to one port.
const (
	RouteGRPC RouteKind = iota
	RouteHTTP
	RouteTLS
	RouteTCP
)

// String gives the Gateway API kind.
func (k RouteKind) String() string {
	return [...]string{"GRPCRoute", "HTTPRoute", "TLSRoute", "TCPRoute"}[k]
}

// Route is one accepted route, with every reference resolved.
type Route struct {
	Kind RouteKind
	Name
	Created   time.Time // for precedence: the older wins
	Ports     []uint16  // of the parent; empty means all
	Hostnames []string  // lower case, "*." prefix allowed; empty means any
	Rules     []Rule
	Source    string // file:line, for reasons and messages
}

// Rule is one rule of a route.
type Rule struct {
	Name     string
	Matches  []Match // any of them; empty means everything
	Filters  []Filter
	Backends []Backend
	Calls    *Calls // how its requests are tried, a whole value; nil: as the port's policy says
	Source   string // file:line
}

// Timeouts of requests (HTTPRouteTimeouts). 0 means no limit.
type Timeouts struct {
	Request        time.Duration // from the request's head to the response's end, all tries included
	BackendRequest time.Duration // one try
}

// PathKind is how a path is compared.
type PathKind uint8

// The path match types of Gateway API.
const (
	PathPrefix PathKind = iota // by whole segments
	PathExact
	PathRegex // RE2, anchored at both ends
)

// Match is one HTTPRouteMatch or GRPCRouteMatch: all parts must hold.
type Match struct {
	Path    *PathMatch
	Method  string // empty means any
	Headers []ValueMatch
	Query   []ValueMatch
	GRPC    *GRPCMatch
}

// PathMatch compares the canonical path.
type PathMatch struct {
	Kind  PathKind
	Value string
}

// ValueMatch compares a header field or query parameter. Header names are lower case.
type ValueMatch struct {
	Name  string
	Value string
	Regex bool // RE2, anchored at both ends
}

// GRPCMatch compares /Service/Method; an empty part matches everything.
type GRPCMatch struct {
	Service, Method string
	Regex           bool
}

// Filter is one filter; exactly one field is set.
type Filter struct {
	RequestHeaders  *HeaderModifier
	ResponseHeaders *HeaderModifier
	Redirect        *Redirect
	Rewrite         *Rewrite
	Mirror          *Mirror
	CORS            *CORS
}

// HeaderModifier is applied in the order set, add, remove. Names are lower case.
type HeaderModifier struct {
	Set, Add []NameValue
	Remove   []string
}

// NameValue is a header field to write.
type NameValue struct{ Name, Value string }

// PathModifier replaces the path. Exactly one of Full and PrefixMatch is non-nil.
type PathModifier struct {
	Full        *string
	PrefixMatch *string // replaces the matched prefix
}

// Redirect answers with a redirect (HTTPRequestRedirectFilter).
type Redirect struct {
	Scheme   string // empty keeps
	Hostname string // empty keeps
	Path     *PathModifier
	Port     uint16 // 0: by scheme if Scheme is set, else kept
	Status   int    // 301, 302, 303, 307, 308
}

// Rewrite changes what is forwarded (HTTPURLRewriteFilter).
type Rewrite struct {
	Hostname string
	Path     *PathModifier
}

// Mirror sends a copy to a backend and drops the response.
type Mirror struct {
	Backend Backend
	// Numerator of Denominator requests are mirrored; Denominator 0 means all.
	Numerator, Denominator uint32
}

// CORS answers preflights and marks responses (HTTPCORSFilter).
type CORS struct {
	AllowOrigins     []string // exact, "*", or with one wildcard label ("https://*.example.com")
	AllowCredentials bool
	AllowMethods     []string
	AllowHeaders     []string // lower case
	ExposeHeaders    []string
	MaxAge           time.Duration
}

// Backend is one weighted destination of a rule.
type Backend struct {
	Service Name
	Port    uint16
	Weight  uint32 // relative; 0 receives nothing
	Filters []Filter
	// Invalid, if not empty, says why the reference could not be resolved (ResolvedRefs reason,
	// e.g. "BackendNotFound", "RefNotPermitted"). Its share of requests is answered 500.
	Invalid string
}
