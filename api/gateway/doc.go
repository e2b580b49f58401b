// Package gateway holds the kinds of Gateway API v1.6 that weft reads: HTTPRoute, GRPCRoute,
// TCPRoute, TLSRoute and ReferenceGrant (gateway.networking.k8s.io), in exactly the form in which
// people write them for a cluster.
//
// Field rules stand in the structs' tags and are enforced by package decode; the rules that span
// fields (which the official CRDs state in CEL) are in the Validate methods. Together they
// refuse what a cluster's API server would refuse. Parents are Services (GAMMA).
package gateway

// Group is the API group of this package's kinds.
const Group = "gateway.networking.k8s.io"
