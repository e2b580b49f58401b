package gateway

import "github.com/weft-mesh/weft/api/k8s"

// TCPRoute sends TCP connections to backends (v1, v1alpha2).
type TCPRoute struct {
	k8s.TypeMeta
	Metadata k8s.ObjectMeta `json:"metadata" rule:"required"`
	// Spec is the wish.
	Spec   TCPRouteSpec `json:"spec" rule:"required"`
	Status k8s.Unused   `json:"status,omitzero"`
}

// TCPRouteSpec is the wish of a TCPRoute.
type TCPRouteSpec struct {
	CommonRouteSpec
	// Rules holds exactly one rule.
	Rules []StreamRouteRule `json:"rules" rule:"required,minItems=1,maxItems=1"`
}

// TLSRoute sends TLS connections, unopened, to backends by the name the client asks for
// (v1, v1alpha2, v1alpha3).
type TLSRoute struct {
	k8s.TypeMeta
	Metadata k8s.ObjectMeta `json:"metadata" rule:"required"`
	// Spec is the wish.
	Spec   TLSRouteSpec `json:"spec" rule:"required"`
	Status k8s.Unused   `json:"status,omitzero"`
}

// TLSRouteSpec is the wish of a TLSRoute.
type TLSRouteSpec struct {
	CommonRouteSpec
	// Hostnames are the names (SNI) of the route. "*." may stand for the first labels. Only version
	// v1alpha2 lets them out; then every name matches.
	Hostnames []string `json:"hostnames,omitempty" rule:"minItems=1,maxItems=1024,format=hostname"`
	// Rules holds exactly one rule.
	Rules []StreamRouteRule `json:"rules" rule:"required,minItems=1,maxItems=1"`
}

// StreamRouteRule is the rule of a TCPRoute or TLSRoute.
type StreamRouteRule struct {
	// Name of the rule; shown in reasons and metrics.
	Name string `json:"name,omitempty" rule:"format=section-name"`
	// BackendRefs are where connections go, by weight.
	BackendRefs []BackendRef `json:"backendRefs" rule:"required,minItems=1,maxItems=16"`
}
