package gateway

import "github.com/weft-mesh/weft/api/k8s"

// GRPCRoute sends gRPC calls to backends by service and method (v1).
type GRPCRoute struct {
	k8s.TypeMeta
	Metadata k8s.ObjectMeta `json:"metadata" rule:"required"`
	// Spec is the wish.
	Spec   GRPCRouteSpec `json:"spec,omitzero"`
	Status k8s.Unused    `json:"status,omitzero"`
}

// GRPCRouteSpec is the wish of a GRPCRoute.
type GRPCRouteSpec struct {
	CommonRouteSpec
	// Hostnames restrict the route to calls to these hosts. "*." may stand for the first labels.
	Hostnames []string `json:"hostnames,omitempty" rule:"maxItems=16,format=hostname"`
	// Rules are tried by precedence: longest service, longest method, most headers, oldest route.
	Rules []GRPCRouteRule `json:"rules,omitempty" rule:"maxItems=16"`
}

// GRPCRouteRule is one rule.
type GRPCRouteRule struct {
	// Name of the rule, unique in the route; shown in reasons and metrics.
	Name string `json:"name,omitempty" rule:"format=section-name"`
	// Matches are alternatives: one of them must hold. Not given means every call.
	Matches []GRPCRouteMatch `json:"matches,omitempty" rule:"maxItems=64"`
	// Filters change calls and answers, in order.
	Filters []GRPCRouteFilter `json:"filters,omitempty" rule:"maxItems=16"`
	// BackendRefs are where calls go, by weight.
	BackendRefs []GRPCBackendRef `json:"backendRefs,omitempty" rule:"maxItems=16"`
	// SessionPersistence keeps a client's requests with one endpoint.
	SessionPersistence *SessionPersistence `json:"sessionPersistence,omitempty"`
}

// GRPCRouteMatch holds if all its parts hold.
type GRPCRouteMatch struct {
	// Method compares service and method.
	Method *GRPCMethodMatch `json:"method,omitempty"`
	// Headers compare metadata; all must hold.
	Headers []HeaderMatch `json:"headers,omitempty" rule:"maxItems=16,uniqueKey=name"`
}

// GRPCMethodMatch compares service and method; at least one is given.
type GRPCMethodMatch struct {
	// Type is how they are compared.
	Type string `json:"type,omitempty" rule:"enum=Exact|RegularExpression,default=Exact"`
	// Service is the full name, such as shop.v1.Cart.
	Service *string `json:"service,omitempty" rule:"maxLen=1024"`
	// Method is the name of the method.
	Method *string `json:"method,omitempty" rule:"maxLen=1024"`
}

// GRPCRouteFilter is one filter; the field named like its type is set.
type GRPCRouteFilter struct {
	// Type says which filter this is.
	Type string `json:"type" rule:"required,enum=RequestHeaderModifier|ResponseHeaderModifier|RequestMirror|ExtensionRef"`
	// RequestHeaderModifier changes the metadata of calls.
	RequestHeaderModifier *HTTPHeaderFilter `json:"requestHeaderModifier,omitempty"`
	// ResponseHeaderModifier changes the metadata of answers.
	ResponseHeaderModifier *HTTPHeaderFilter `json:"responseHeaderModifier,omitempty"`
	// RequestMirror sends a copy of calls elsewhere and drops the answer.
	RequestMirror *HTTPRequestMirrorFilter `json:"requestMirror,omitempty"`
	// ExtensionRef is not carried out by weft; a route with it is not accepted.
	ExtensionRef *LocalObjectReference `json:"extensionRef,omitempty"`
}

// GRPCBackendRef is a backend with filters of its own.
type GRPCBackendRef struct {
	BackendRef
	// Filters apply to calls to this backend only.
	Filters []GRPCRouteFilter `json:"filters,omitempty" rule:"maxItems=16"`
}
